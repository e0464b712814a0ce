#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/shm.h"

int sw_shm_open(const char *key, uint64_t *size) {
    struct stat info;
    int fd = shm_open(key, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return -1;
    }
    *size = (uint64_t)info.st_size;
    return fd;
}

void sw_shm_close(int fd) {
    close(fd);
}

/* Of a read: 0 at the end of the memory. */
static bool move_on(ssize_t n, size_t *done) {
    if (n > 0) *done += (size_t)n;
    return n > 0 || (n < 0 && errno == EINTR);
}

bool sw_shm_read(int fd, uint64_t offset, void *data, size_t size) {
    size_t done = 0;
    while (done < size)
        if (!move_on(pread(fd, (char *)data + done, size - done, (off_t)(offset + done)), &done)) return false;
    return true;
}

bool sw_shm_write(int fd, uint64_t offset, const void *data, size_t size) {
    struct stat info;
    size_t done = 0;
    if (fstat(fd, &info) != 0 || (uint64_t)info.st_size < offset + size) return false; /* else it would grow */
    while (done < size)
        if (!move_on(pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done)), &done)) return false;
    return true;
}
