/* What must not stay when the process ends by a signal: files and folders that are being made. */
#ifndef SLIPWAY_BASE_TEMPORARY_H
#define SLIPWAY_BASE_TEMPORARY_H

/* Part of whoever makes it; zeroed before. `path` lives until it is dropped. */
typedef struct sw_temporary {
    const char *path;
    struct sw_temporary *next, **link;
} sw_temporary;

/* Any thread. */
void sw_temporary_add(sw_temporary *temporary, const char *path);
/* It is in place now, or gone. Takes one that was never added, or is dropped already. */
void sw_temporary_drop(sw_temporary *temporary);

/* For programs, not for libraries: from now on SIGINT, SIGTERM and SIGHUP remove what is listed before they end the process as
 * ever. Those that are ignored stay ignored; a program that reads them (sw_signals_open) gets them. */
void sw_temporary_end_on_signals(void);

/* Removes a file, or a folder with everything in it; links are not followed. As far as it can. */
void sw_tree_remove(const char *path);

#endif
