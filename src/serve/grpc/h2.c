#include "serve/server/internal.h"
sw_status sw__h2_create(sw__conn *conn) { return SW_E_UNSUPPORTED; }
void sw__h2_destroy(sw__h2 *h2) {}
bool sw__h2_take(sw__conn *conn, const uint8_t *data, size_t size) { return false; }
void sw__h2_pump(sw__conn *conn) {}
void sw__h2_stop(sw__conn *conn) {}
bool sw__h2_is_idle(const sw__conn *conn) { return true; }
