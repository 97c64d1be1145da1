/* A link between two network namespaces, for kernels without netem: two TAP devices and the delay between them.
 *
 *   relay CLIENT_NS SERVER_NS DEVICE SEED UP DOWN
 *   UP, DOWN: delay_us,jitter_us,bytes_per_s,loss_per_million,queue_bytes,slot_us
 *
 * A frame waits for the frames before it at the link's rate, is dropped where that would overflow the queue or by
 * chance, and arrives after the delay plus an exponential jitter, rounded up to the link's slot. Frames of one
 * direction keep their order. Prints "ready" once both devices exist. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FRAME = 2048, SLOTS = 4096 };

struct frame {
    int64_t arrival; /* ns */
    int size;
    unsigned char bytes[MAX_FRAME];
};

struct direction {
    int from, to;
    double delay, jitter, rate, slot; /* ns, ns, bytes a second, ns */
    double loss, queue;               /* probability, bytes */
    int64_t free_at, last_arrival;    /* ns: when the wire is free, when the frame before arrives */
    unsigned head, tail;              /* frames[head .. tail) are on their way */
    struct frame *frames;
};

static void die(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_tap(const char *namespace, const char *device) {
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) die(path);
    close(netns);
    int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap < 0) die("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    if (ioctl(tap, TUNSETIFF, &request) < 0) die("TUNSETIFF");
    return tap;
}

static struct direction parse(const char *text, int from, int to) {
    struct direction d = {.from = from, .to = to};
    if (sscanf(text, "%lf,%lf,%lf,%lf,%lf,%lf", &d.delay, &d.jitter, &d.rate, &d.loss, &d.queue, &d.slot) != 6) {
        errno = EINVAL;
        die(text);
    }
    d.delay *= 1e3, d.jitter *= 1e3, d.slot *= 1e3, d.loss /= 1e6;
    d.frames = malloc(SLOTS * sizeof *d.frames);
    if (!d.frames) die("memory");
    return d;
}

static void take(struct direction *d) {
    for (;;) {
        struct frame *f = &d->frames[d->tail % SLOTS];
        f->size = (int)read(d->from, f->bytes, MAX_FRAME);
        if (f->size <= 0) return;
        int64_t t = now();
        double backlog = d->free_at > t ? (double)(d->free_at - t) * d->rate / 1e9 : 0;
        if (backlog + f->size > d->queue || d->tail - d->head == SLOTS - 1 || drand48() < d->loss) continue;
        if (d->free_at < t) d->free_at = t;
        d->free_at += (int64_t)(f->size * 1e9 / d->rate);
        double arrival = (double)d->free_at + d->delay - log(1 - drand48()) * d->jitter;
        if (d->slot > 0) arrival = ceil(arrival / d->slot) * d->slot;
        f->arrival = (int64_t)arrival < d->last_arrival ? d->last_arrival : (int64_t)arrival;
        d->last_arrival = f->arrival;
        d->tail++;
    }
}

/* Hand over what has arrived; returns ns until the next arrival, or -1. A device that is not up yet loses frames. */
static int64_t deliver(struct direction *d) {
    while (d->head != d->tail) {
        struct frame *f = &d->frames[d->head % SLOTS];
        int64_t wait = f->arrival - now();
        if (wait > 0) return wait;
        if (write(d->to, f->bytes, f->size) < 0 && errno != EIO && errno != EAGAIN) die("write");
        d->head++;
    }
    return -1;
}

int main(int argc, char **argv) {
    if (argc != 7) return fprintf(stderr, "usage: relay CLIENT_NS SERVER_NS DEVICE SEED UP DOWN\n"), 2;
    int client = open_tap(argv[1], argv[3]), server = open_tap(argv[2], argv[3]);
    srand48(atol(argv[4]));
    struct direction up = parse(argv[5], client, server), down = parse(argv[6], server, client);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int64_t a = deliver(&up), b = deliver(&down);
        int64_t wait = a < 0 ? b : b < 0 || a < b ? a : b;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        struct pollfd taps[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (ppoll(taps, 2, wait < 0 ? NULL : &timeout, NULL) < 0 && errno != EINTR) die("ppoll");
        take(&up);
        take(&down);
    }
}
