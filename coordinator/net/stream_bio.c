#include "stream_bio.h"

#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *to, size_t size_bytes, size_t *ret_bytes) {
    struct stream_bio *ends = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (ends->input_bytes == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t taken = size_bytes < ends->input_bytes ? size_bytes : ends->input_bytes;
    memcpy(to, ends->input, taken);
    ends->input += taken;
    ends->input_bytes -= taken;
    *ret_bytes = taken;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size_bytes, size_t *ret_bytes) {
    struct stream_bio *ends = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!buffer_append(&ends->output, bytes, size_bytes)) {
        return 0; /* no memory: the session ends */
    }
    *ret_bytes = size_bytes;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method != NULL) {
        BIO_meth_set_read_ex(method, bio_read);
        BIO_meth_set_write_ex(method, bio_write);
        BIO_meth_set_ctrl(method, bio_control);
        BIO_meth_set_create(method, bio_create);
    }
}

BIO *stream_bio_create(struct stream_bio *ends) {
    pthread_once(&method_once, make_method);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio != NULL) {
        BIO_set_data(bio, ends);
    }
    return bio;
}
