#include "base/hash.h"
#include "unit.h"

SW_TEST(hash_tells_bytes_sizes_and_seeds_apart) {
    const char text[] = "a plan is kept by what it is made from";
    uint64_t whole = sw_hash(0, text, sizeof text);
    CHECK(sw_hash(0, text, sizeof text) == whole);
    CHECK(sw_hash_text(0, text) == whole);
    CHECK(sw_hash(1, text, sizeof text) != whole);
    for (size_t i = 0; i < sizeof text; i++) {
        char other[sizeof text];
        memcpy(other, text, sizeof text);
        other[i] ^= 1;
        CHECK(sw_hash(0, other, sizeof other) != whole);
        CHECK(sw_hash(0, text, i) != whole);
    }
    CHECK(sw_hash(0, "\0", 1) != sw_hash(0, "\0\0", 2));
    CHECK(sw_hash(sw_hash(0, "ab", 2), "c", 1) != sw_hash(sw_hash(0, "a", 1), "bc", 2));
}

/* Files are named by it: it must not change between machines or versions. */
SW_TEST(hash_is_the_same_everywhere) {
    CHECK(sw_hash(0, "", 0) == sw_hash(0, NULL, 0));
    CHECK(sw_hash_text(0, "slipway") == 0x747c21a780576dbbu);
    CHECK(sw_hash_text(0, "slipway plans") == 0x56b452a08cdbd782u);
}
