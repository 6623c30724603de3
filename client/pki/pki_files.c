#include "pki_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

enum error_code pki_path(const char *directory, const char *name, char ret_path[PATH_MAX],
                         struct error *error) {
    int length = snprintf(ret_path, PATH_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= PATH_MAX) {
        return error_set(error, ERROR_LIMIT, "path of %s is too long", name);
    }
    return ERROR_OK;
}

enum error_code pki_make_directory(const char *directory, struct error *error) {
    struct stat status;
    if (mkdir(directory, 0700) == 0) {
        return ERROR_OK;
    }
    int reason = errno;
    if (reason == EEXIST && stat(directory, &status) == 0 && S_ISDIR(status.st_mode)) {
        return ERROR_OK;
    }
    return error_set(error, ERROR_IO, "can't make directory %s: %s", directory, strerror(reason));
}

enum error_code pki_check_absent(const char *directory, const char *name, struct error *error) {
    char path[PATH_MAX];
    struct stat status;
    if (pki_path(directory, name, path, error) != ERROR_OK) {
        return ERROR_LIMIT;
    }
    if (lstat(path, &status) == 0) {
        return error_set(error, ERROR_EXISTS, "%s exists; it is not replaced without --force",
                         path);
    }
    return ERROR_OK;
}

static bool write_all(int fd, const char *bytes, size_t size_bytes) {
    while (size_bytes > 0) {
        ssize_t written = write(fd, bytes, size_bytes);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            size_bytes -= (size_t)written;
        }
    }
    return true;
}

static void sync_directory(const char *directory) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

enum error_code pki_write_file(const char *directory, const char *name, mode_t mode,
                               const void *bytes, size_t size_bytes, struct error *error) {
    char path[PATH_MAX];
    char beside[PATH_MAX];
    char beside_name[64];
    (void)snprintf(beside_name, sizeof beside_name, ".%.32s.%ld.new", name, (long)getpid());
    if (pki_path(directory, name, path, error) != ERROR_OK ||
        pki_path(directory, beside_name, beside, error) != ERROR_OK) {
        return ERROR_LIMIT;
    }
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return error_set(error, ERROR_IO, "can't write %s: %s", path, strerror(errno));
    }
    /* fchmod: whatever the umask took away from the readable files is wanted back. */
    bool written = write_all(fd, bytes, size_bytes) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0 && written) {
        written = false;
        reason = errno;
    }
    if (written && rename(beside, path) != 0) {
        written = false;
        reason = errno;
    }
    if (!written) {
        (void)unlink(beside);
        return error_set(error, ERROR_IO, "can't write %s: %s", path, strerror(reason));
    }
    sync_directory(directory);
    return ERROR_OK;
}

enum error_code pki_append_line(const char *directory, const char *name, const char *line,
                                struct error *error) {
    char path[PATH_MAX];
    if (pki_path(directory, name, path, error) != ERROR_OK) {
        return ERROR_LIMIT;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || !write_all(fd, line, strlen(line)) || fsync(fd) != 0) {
        int reason = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return error_set(error, ERROR_IO, "can't write %s: %s", path, strerror(reason));
    }
    (void)close(fd);
    return ERROR_OK;
}

static enum error_code write_bio(const char *directory, const char *name, mode_t mode, BIO *bio,
                                 int encoded, struct error *error) {
    char *bytes = NULL;
    long size_bytes = bio != NULL && encoded == 1 ? BIO_get_mem_data(bio, &bytes) : 0;
    enum error_code code =
        size_bytes > 0
            ? pki_write_file(directory, name, mode, bytes, (size_t)size_bytes, error)
            : error_set(error, ERROR_INTERNAL, "can't encode %s: %s", name, pki_reason());
    BIO_free(bio);
    return code;
}

enum error_code pki_write_certificate(const char *directory, const char *name, X509 *certificate,
                                      struct error *error) {
    BIO *bio = BIO_new(BIO_s_mem());
    return write_bio(directory, name, 0644, bio,
                     bio != NULL ? PEM_write_bio_X509(bio, certificate) : 0, error);
}

enum error_code pki_write_key(const char *directory, const char *name, EVP_PKEY *key,
                              struct error *error) {
    /* Secure memory: the key's text is wiped when the BIO goes. */
    BIO *bio = BIO_new(BIO_s_secmem());
    return write_bio(
        directory, name, 0600, bio,
        bio != NULL ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) : 0, error);
}

enum error_code pki_write_crl(const char *directory, X509_CRL *crl, struct error *error) {
    BIO *bio = BIO_new(BIO_s_mem());
    return write_bio(directory, "crl.pem", 0644, bio,
                     bio != NULL ? PEM_write_bio_X509_CRL(bio, crl) : 0, error);
}

static enum error_code open_bio(const char *path, BIO **ret_bio, struct error *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return error_set(error, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, "can't read %s: %s",
                         path, strerror(errno));
    }
    BIO *bio = BIO_new_fp(file, BIO_CLOSE);
    if (bio == NULL) {
        (void)fclose(file);
        return error_set(error, ERROR_NO_MEMORY, "no memory to read %s", path);
    }
    *ret_bio = bio;
    return ERROR_OK;
}

enum error_code pki_read_certificate(const char *path, X509 **ret_certificate,
                                     struct error *error) {
    BIO *bio = NULL;
    enum error_code code = open_bio(path, &bio, error);
    if (code != ERROR_OK) {
        return code;
    }
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (certificate == NULL) {
        return error_set(error, ERROR_INVALID, "%s is not a certificate: %s", path, pki_reason());
    }
    *ret_certificate = certificate;
    return ERROR_OK;
}

static int refuse_passphrase(char *to, int size, int writing, void *context) {
    (void)to;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

enum error_code pki_read_key(const char *path, EVP_PKEY **ret_key, struct error *error) {
    BIO *bio = NULL;
    enum error_code code = open_bio(path, &bio, error);
    if (code != ERROR_OK) {
        return code;
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        return error_set(error, ERROR_INVALID, "%s is not a private key: %s", path, pki_reason());
    }
    *ret_key = key;
    return ERROR_OK;
}

enum error_code pki_read_crl(const char *path, X509_CRL **ret_crl, struct error *error) {
    BIO *bio = NULL;
    enum error_code code = open_bio(path, &bio, error);
    if (code == ERROR_NOT_FOUND) {
        *ret_crl = NULL;
        return ERROR_OK;
    }
    if (code != ERROR_OK) {
        return code;
    }
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (crl == NULL) {
        return error_set(error, ERROR_INVALID, "%s is not a revocation list: %s", path,
                         pki_reason());
    }
    *ret_crl = crl;
    return ERROR_OK;
}
