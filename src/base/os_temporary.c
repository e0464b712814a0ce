#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "base/temporary.h"

enum { MAX_DEPTH = 16, TRIES = 3 };

static void remove_tree(const char *path, int depth) {
    if (unlink(path) == 0 || depth > MAX_DEPTH) return;
    DIR *folder = opendir(path);
    if (!folder) return;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char *inside;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (asprintf(&inside, "%s/%s", path, entry->d_name) < 0) continue;
        remove_tree(inside, depth + 1);
        free(inside);
    }
    closedir(folder);
    rmdir(path);
}

void sw_tree_remove(const char *path) {
    remove_tree(path, 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sw_temporary *listed;
static enum { OFF, ARMED, WATCHING } watch;
static sem_t came;
static volatile sig_atomic_t number;

static void take(int signal) {
    number = signal;
    sem_post(&came);
}

/* A handler may not read folders: it wakes this thread. The lock stays held, so that nothing new is listed; what other threads
 * put into a folder meanwhile goes with the next try. */
static void *wait_and_remove(void *ctx) {
    while (sem_wait(&came) != 0) continue;
    pthread_mutex_lock(&lock);
    for (int try = 0; try < TRIES; try++)
        for (const sw_temporary *t = listed; t; t = t->next) remove_tree(t->path, 0);
    signal(number, SIG_DFL);
    kill(getpid(), number);
    return NULL;
}

/* Programs that make nothing get no handlers and no thread. */
static void start_watching(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sw_thread thread;
    watch = OFF;
    if (sem_init(&came, 0, 0) != 0 || sw_thread_start(&thread, wait_and_remove, NULL) != SW_OK) return;
    watch = WATCHING;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction now, ours = {.sa_handler = take, .sa_flags = SA_RESTART};
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(signals[i], &ours, NULL);
    }
}

void sw_temporary_end_on_signals(void) {
    pthread_mutex_lock(&lock);
    if (watch == OFF) watch = ARMED;
    pthread_mutex_unlock(&lock);
}

void sw_temporary_add(sw_temporary *temporary, const char *path) {
    pthread_mutex_lock(&lock);
    *temporary = (sw_temporary){path, listed, &listed};
    if (listed) listed->link = &temporary->next;
    listed = temporary;
    if (watch == ARMED) start_watching();
    pthread_mutex_unlock(&lock);
}

void sw_temporary_drop(sw_temporary *temporary) {
    pthread_mutex_lock(&lock);
    if (temporary->link) {
        *temporary->link = temporary->next;
        if (temporary->next) temporary->next->link = temporary->link;
        temporary->link = NULL;
    }
    pthread_mutex_unlock(&lock);
}
