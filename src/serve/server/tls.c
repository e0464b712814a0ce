#include "serve/server/tls.h"

#include <pthread.h>
#include <string.h>

#include "base/net.h"
#include "base/os.h"
#include "serve/server/openssl.h"

#define SW__OPENSSL_VALUE(name, value) name = value,
enum { SW__OPENSSL_CONSTANTS(SW__OPENSSL_VALUE) MOST_AT_ONCE = 1 << 30 };

struct sw__tls {
    const sw_server_tls *files;
    int speaks;
    pthread_mutex_t lock; /* of context */
    SSL_CTX *context;
};

/* -- The library --------------------------------------------------------------------------------------------------- */

static sw__openssl ssl; /* set once, by the thread that starts the server */

static sw_status load_library(const sw_diag *diag) {
    static const char *const names[] = {"libssl.so.3", "libssl.so.1.1"};
    sw_library *library = NULL;
    if (ssl.SSL_new) return SW_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = sw_library_open(names[i]);
    if (!library)
        return sw_fail(diag, SW_E_IO, "TLS", "install it (Debian: apt-get install libssl3), or serve without TLS",
                       "the library OpenSSL is missing: %s", sw_library_error());
    sw__openssl found;
#define FIND(type, name, parameters)                                                                                   \
    *(void **)&found.name = sw_library_symbol(library, #name);                                                         \
    if (!found.name)                                                                                                   \
        return sw_fail(diag, SW_E_IO, "TLS", "install OpenSSL 3 (Debian: apt-get install libssl3)",                    \
                       "the library OpenSSL has no function %s", #name);
    SW__OPENSSL_FUNCTIONS(FIND)
#undef FIND
    ssl = found;
    return SW_OK;
}

/* What OpenSSL says went wrong first. */
static const char *reason(void) {
    unsigned long code = ssl.ERR_get_error();
    const char *text = code ? ssl.ERR_reason_error_string(code) : NULL;
    ssl.ERR_clear_error();
    return text ? text : "OpenSSL does not say why";
}

/* -- Certificates -------------------------------------------------------------------------------------------------- */

/* There is nobody to ask for the password of a key. */
static int no_password(char *text, int size, int writing, void *ctx) {
    return -1;
}

static bool offers(const unsigned char *list, unsigned n, const char *name) {
    size_t length = strlen(name);
    for (unsigned at = 0; at < n && at + 1 + list[at] <= n; at += 1u + list[at])
        if (list[at] == length && !memcmp(list + at + 1, name, length)) return true;
    return false;
}

/* ALPN. Who can speak both, as curl, gets HTTP/1.1 where the port has it: HTTP/2 is for gRPC only. */
static int select_protocol(SSL *session, const unsigned char **chosen, unsigned char *n_chosen,
                           const unsigned char *offered, unsigned n, void *ctx) {
    const sw__tls *tls = ctx;
    static const char http[] = "http/1.1", h2[] = "h2";
    const char *name = NULL;
    if (tls->speaks & SW_SERVER_GRPC && offers(offered, n, h2)) name = h2;
    if (tls->speaks & SW_SERVER_HTTP && offers(offered, n, http)) name = http;
    if (!name) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = (const unsigned char *)name;
    *n_chosen = (unsigned char)strlen(name);
    return SSL_TLSEXT_ERR_OK;
}

static sw_status need_file(const char *path, const char *what, const sw_diag *diag) {
    if (sw_path_kind_of(path) == SW_PATH_FILE) return SW_OK;
    return sw_fail(diag, SW_E_IO, path, NULL, "there is no such file, which should hold %s", what);
}

static sw_status read_authorities(SSL_CTX *context, const char *path, const sw_diag *diag) {
    SW_TRY(need_file(path, "the certificates of authorities for clients", diag));
    struct stack_st_X509_NAME *names = ssl.SSL_load_client_CA_file(path);
    if (names) ssl.SSL_CTX_set_client_CA_list(context, names);
    if (!names || ssl.SSL_CTX_load_verify_locations(context, path, NULL) != 1)
        return sw_fail(diag, SW_E_INPUT, path, "give certificates in PEM format",
                       "cannot be used as certificates of authorities: %s", reason());
    ssl.SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return SW_OK;
}

static sw_status read_files(const sw_server_tls *files, SSL_CTX *context, const sw_diag *diag) {
    SW_TRY(need_file(files->cert, "the server's certificate", diag));
    SW_TRY(need_file(files->key, "the server's private key", diag));
    if (ssl.SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return sw_fail(diag, SW_E_INPUT, files->cert, "give a PEM file: the server's certificate, then those above it",
                       "cannot be used as the server's certificate: %s", reason());
    if (ssl.SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
        return sw_fail(diag, SW_E_INPUT, files->key,
                       "give a PEM file with the key of the certificate, without a password",
                       "cannot be used as the server's private key: %s", reason());
    return files->root ? read_authorities(context, files->root, diag) : SW_OK;
}

static sw_status make_context(sw__tls *tls, const sw_diag *diag, SSL_CTX **made) {
    static const unsigned char id[] = "slipway";
    ssl.ERR_clear_error();
    SSL_CTX *context = ssl.SSL_CTX_new(ssl.TLS_server_method());
    if (!context) return SW_E_NOMEM;
    ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    ssl.SSL_CTX_ctrl(context, SSL_CTRL_MODE,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS,
                     NULL);
    ssl.SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    ssl.SSL_CTX_set_default_passwd_cb(context, no_password);
    ssl.SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
    ssl.SSL_CTX_set_alpn_select_cb(context, select_protocol, tls);
    sw_status status = read_files(tls->files, context, diag);
    if (status == SW_OK)
        *made = context;
    else
        ssl.SSL_CTX_free(context);
    return status;
}

sw_status sw__tls_create(const sw_server_tls *files, int speaks, const sw_diag *diag, sw__tls **result) {
    SW_TRY(load_library(diag));
    sw__tls *tls = sw_calloc(NULL, 1, sizeof *tls);
    if (!tls) return SW_E_NOMEM;
    tls->files = files;
    tls->speaks = speaks;
    pthread_mutex_init(&tls->lock, NULL);
    sw_status status = make_context(tls, diag, &tls->context);
    if (status == SW_OK)
        *result = tls;
    else
        sw__tls_destroy(tls);
    return status;
}

void sw__tls_destroy(sw__tls *tls) {
    if (!tls) return;
    if (tls->context) ssl.SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->lock);
    sw_free(NULL, tls);
}

sw_status sw__tls_reload(sw__tls *tls, const sw_diag *diag) {
    SSL_CTX *made;
    SW_TRY(make_context(tls, diag, &made));
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->context;
    tls->context = made;
    pthread_mutex_unlock(&tls->lock);
    ssl.SSL_CTX_free(old);
    return SW_OK;
}

/* -- Sessions ------------------------------------------------------------------------------------------------------ */

sw__tls_session *sw__tls_accept(sw__tls *tls, int fd) {
    pthread_mutex_lock(&tls->lock);
    SSL *session = ssl.SSL_new(tls->context);
    pthread_mutex_unlock(&tls->lock);
    if (session && ssl.SSL_set_fd(session, fd) == 1) {
        ssl.SSL_set_accept_state(session);
        return session;
    }
    sw__tls_free(session);
    return NULL;
}

bool sw__tls_is_open(const sw__tls_session *session) {
    return ssl.SSL_is_init_finished(session);
}

/* The outcome of a call that moved no bytes. */
static int64_t outcome(SSL *session, int result) {
    switch (ssl.SSL_get_error(session, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return SW_NET_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return SW_NET_END;
    default:
        ssl.ERR_clear_error();
        return SW_NET_ERROR;
    }
}

static int at_once(size_t size) {
    return size < MOST_AT_ONCE ? (int)size : MOST_AT_ONCE;
}

int64_t sw__tls_read(sw__tls_session *session, void *data, size_t size) {
    ssl.ERR_clear_error();
    int n = ssl.SSL_read(session, data, at_once(size));
    return n > 0 ? n : outcome(session, n);
}

/* A record at a time; what was begun must be offered again, at the same place of the stream, which the caller does. */
static int64_t write_piece(SSL *session, const uint8_t *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssl.ERR_clear_error();
        int n = ssl.SSL_write(session, data + done, at_once(size - done));
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        int64_t why = outcome(session, n);
        if (why == SW_NET_AGAIN) break;
        return SW_NET_ERROR;
    }
    return (int64_t)done;
}

int64_t sw__tls_write(sw__tls_session *session, const void *first, size_t n_first, const void *second,
                      size_t n_second) {
    int64_t n = write_piece(session, first, n_first);
    if (n == (int64_t)n_first) {
        int64_t more = write_piece(session, second, n_second);
        n = more < 0 ? more : n + more;
    }
    return n ? n : SW_NET_AGAIN;
}

void sw__tls_shutdown_write(sw__tls_session *session) {
    if (ssl.SSL_is_init_finished(session)) ssl.SSL_shutdown(session);
    ssl.ERR_clear_error();
}

void sw__tls_free(sw__tls_session *session) {
    if (session) ssl.SSL_free(session);
}
