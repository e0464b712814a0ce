#include <dlfcn.h>

#include "base/os.h"

sw_library *sw_library_open(const char *name) {
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

void *sw_library_symbol(sw_library *library, const char *symbol) {
    return dlsym(library, symbol);
}

const char *sw_library_error(void) {
    const char *text = dlerror();
    return text ? text : "unknown reason";
}
