/* What is used of OpenSSL 3 and 1.1, in their own names and types (test_tls.c compares them with openssl/ssl.h). Private to
 * server/. */
#ifndef SLIPWAY_SERVE_SERVER_OPENSSL_H
#define SLIPWAY_SERVE_SERVER_OPENSSL_H

#include <stdint.h>

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_method_st SSL_METHOD;
typedef struct x509_store_ctx_st X509_STORE_CTX;
struct stack_st_X509_NAME;

typedef int (*sw__ssl_verify)(int good, X509_STORE_CTX *store);
typedef int (*sw__ssl_password)(char *text, int size, int writing, void *ctx);
typedef int (*sw__ssl_select)(SSL *ssl, const unsigned char **chosen, unsigned char *n_chosen,
                              const unsigned char *offered, unsigned n_offered, void *ctx);

/* X(type of the result, name, parameters) */
#define SW__OPENSSL_FUNCTIONS(X)                                                                                       \
    X(const SSL_METHOD *, TLS_server_method, (void))                                                                   \
    X(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *))                                                                    \
    X(void, SSL_CTX_free, (SSL_CTX *))                                                                                 \
    X(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *))                                                              \
    X(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t))                                                            \
    X(int, SSL_CTX_use_certificate_chain_file, (SSL_CTX *, const char *))                                              \
    X(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX *, const char *, int))                                                \
    X(int, SSL_CTX_load_verify_locations, (SSL_CTX *, const char *, const char *))                                     \
    X(struct stack_st_X509_NAME *, SSL_load_client_CA_file, (const char *))                                            \
    X(void, SSL_CTX_set_client_CA_list, (SSL_CTX *, struct stack_st_X509_NAME *))                                      \
    X(void, SSL_CTX_set_verify, (SSL_CTX *, int, sw__ssl_verify))                                                      \
    X(void, SSL_CTX_set_default_passwd_cb, (SSL_CTX *, sw__ssl_password))                                              \
    X(void, SSL_CTX_set_alpn_select_cb, (SSL_CTX *, sw__ssl_select, void *))                                           \
    X(int, SSL_CTX_set_session_id_context, (SSL_CTX *, const unsigned char *, unsigned))                               \
    X(SSL *, SSL_new, (SSL_CTX *))                                                                                     \
    X(void, SSL_free, (SSL *))                                                                                         \
    X(int, SSL_set_fd, (SSL *, int))                                                                                   \
    X(void, SSL_set_accept_state, (SSL *))                                                                             \
    X(int, SSL_is_init_finished, (const SSL *))                                                                        \
    X(int, SSL_read, (SSL *, void *, int))                                                                             \
    X(int, SSL_write, (SSL *, const void *, int))                                                                      \
    X(int, SSL_get_error, (const SSL *, int))                                                                          \
    X(int, SSL_shutdown, (SSL *))                                                                                      \
    X(unsigned long, ERR_get_error, (void))                                                                            \
    X(const char *, ERR_reason_error_string, (unsigned long))                                                          \
    X(void, ERR_clear_error, (void))

/* X(name, value) */
#define SW__OPENSSL_CONSTANTS(X)                                                                                       \
    X(SSL_CTRL_MODE, 33)                                                                                               \
    X(SSL_CTRL_SET_MIN_PROTO_VERSION, 123)                                                                             \
    X(TLS1_2_VERSION, 0x0303)                                                                                          \
    X(SSL_MODE_ENABLE_PARTIAL_WRITE, 1)                                                                                \
    X(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, 2)                                                                          \
    X(SSL_MODE_RELEASE_BUFFERS, 16)                                                                                    \
    X(SSL_OP_NO_COMPRESSION, 1 << 17)                                                                                  \
    X(SSL_OP_NO_RENEGOTIATION, 1 << 30)                                                                                \
    X(SSL_FILETYPE_PEM, 1)                                                                                             \
    X(SSL_VERIFY_PEER, 1)                                                                                              \
    X(SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 2)                                                                              \
    X(SSL_TLSEXT_ERR_OK, 0)                                                                                            \
    X(SSL_TLSEXT_ERR_ALERT_FATAL, 2)                                                                                   \
    X(SSL_ERROR_WANT_READ, 2)                                                                                          \
    X(SSL_ERROR_WANT_WRITE, 3)                                                                                         \
    X(SSL_ERROR_ZERO_RETURN, 6)

typedef struct sw__openssl {
#define SW__OPENSSL_MEMBER(type, name, parameters) type(*name) parameters;
    SW__OPENSSL_FUNCTIONS(SW__OPENSSL_MEMBER)
#undef SW__OPENSSL_MEMBER
} sw__openssl;

#endif
