/* Our prototypes and constants against OpenSSL's own, where its headers are installed. Nothing runs. */
#if __has_include(<openssl/ssl.h>)
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "serve/server/openssl.h"

#define CHECK_FUNCTION(type, name, parameters)                                                                         \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&name), type(*) parameters), #name);
SW__OPENSSL_FUNCTIONS(CHECK_FUNCTION)
#define CHECK_CONSTANT(name, value) _Static_assert((name) == (value), #name);
SW__OPENSSL_CONSTANTS(CHECK_CONSTANT)
#endif
