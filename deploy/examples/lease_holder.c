/* Writes only while Noctua's lease is held: lease_holder URL. Build: cc lease_holder.c -lcurl */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double boottime(void) { /* goes on while the machine sleeps */
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t take(char *bytes, size_t size, size_t count, void *body) { /* one short piece */
    (void)snprintf(body, 256, "%.*s", (int)(size * count), bytes);
    return size * count;
}

int main(int argc, char **argv) {
    double until = 0; /* we may write before this, by our own clock */
    char body[256];
    CURL *curl = argc == 2 ? curl_easy_init() : NULL;
    if (curl == NULL) {
        return 2;
    }
    curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 1000L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    for (;;) {
        double asked = boottime(); /* before the request leaves: never later than the node's t0 */
        body[0] = '\0';
        const char *left = curl_easy_perform(curl) == CURLE_OK ? strstr(body, "_in_ms\":") : NULL;
        unsigned ms = 0;
        if (left != NULL && sscanf(left + 8, "%u", &ms) == 1) {
            until = asked + ms / 1000.0;
        }
        /* Check it right before each write, and let no write take longer than what is left. */
        (void)puts(boottime() < until ? "write" : "fenced");
        (void)fflush(stdout);
        usleep(500000);
    }
}
