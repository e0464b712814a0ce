#include "base/cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_cpu.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

static const struct {
    const char *name;
    uint32_t bit;
} features[] = {
#define SW_CPU_ROW(id, bit, name, what) {name, SW_CPU_##id},
    SW_CPU_LIST(SW_CPU_ROW)
#undef SW_CPU_ROW
};

enum { N_FEATURES = sizeof features / sizeof features[0] };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t found;
static char model[64], signature[48] = "unknown";
static atomic_uint_fast32_t allowed_mask;

#if defined(__x86_64__) || defined(__i386__)

static uint64_t enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has(uint32_t reg, uint32_t bits) {
    return (reg & bits) == bits;
}

/* Bits as in Intel's manual, volume 2, CPUID; XCR0: volume 1, 13.3. */
static uint32_t detect(void) {
    uint32_t a, b1, c1, d1, b7 = 0, c7 = 0, d7 = 0, a71 = 0, unused;
    if (!__get_cpuid(1, &a, &b1, &c1, &d1)) return 0;
    uint32_t result = has(d1, 1u << 26) ? SW_CPU_SSE2 : 0;
    if (!has(c1, 1u << 27)) return result; /* OSXSAVE: without it the system saves no wide registers */
    uint64_t state = enabled_state();
    bool ymm = (state & 0x06) == 0x06, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) && a >= 1)
        __get_cpuid_count(7, 1, &a71, &unused, &unused, &unused);
    const uint32_t fma_f16c_avx = 1u << 12 | 1u << 29 | 1u << 28, avx2_bmi = 1u << 5 | 1u << 3 | 1u << 8;
    const uint32_t f_dq_cd_bw_vl = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
    if (!ymm || !has(c1, fma_f16c_avx) || !has(b7, avx2_bmi)) return result;
    result |= SW_CPU_AVX2;
    if (has(a71, 1u << 4)) result |= SW_CPU_AVXVNNI;
    if (!zmm || !has(b7, f_dq_cd_bw_vl)) return result;
    result |= SW_CPU_AVX512;
    if (has(c7, 1u << 11)) result |= SW_CPU_AVX512VNNI;
    if (has(a71, 1u << 5)) result |= SW_CPU_AVX512BF16;
    if (has(d7, 1u << 23)) result |= SW_CPU_AVX512FP16;
    if (tiles && has(d7, 1u << 22 | 1u << 24 | 1u << 25) && sw__os_allow_amx()) result |= SW_CPU_AMX;
    return result;
}

static void read_model(char *text, size_t size) {
    uint32_t part[12] = {0}, highest = __get_cpuid_max(0x80000000u, NULL);
    if (highest < 0x80000004u) return;
    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &part[4 * i], &part[4 * i + 1], &part[4 * i + 2], &part[4 * i + 3]);
    char raw[sizeof part + 1] = {0};
    memcpy(raw, part, sizeof part);
    snprintf(text, size, "%s", raw + strspn(raw, " "));
}

/* Family and model with their extensions, as CPUID's leaf 1 has them. */
static void read_signature(char *text, size_t size) {
    uint32_t a, b, c, d;
    char vendor[13] = {0};
    if (!__get_cpuid(0, &a, &b, &c, &d)) return;
    memcpy(vendor, &b, 4);
    memcpy(vendor + 4, &d, 4);
    memcpy(vendor + 8, &c, 4);
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    uint32_t family = a >> 8 & 15, number = a >> 4 & 15;
    if (family == 15 || family == 6) number |= (a >> 16 & 15) << 4;
    if (family == 15) family += a >> 20 & 255;
    snprintf(text, size, "%s %u.%u.%u", vendor, (unsigned)family, (unsigned)number, (unsigned)(a & 15));
}

#elif defined(__aarch64__)

static uint32_t detect(void) {
    sw__arm_caps caps = sw__os_arm_caps();
    return SW_CPU_NEON | (caps.dot ? SW_CPU_NEONDOT : 0) | (caps.i8mm ? SW_CPU_I8MM : 0) |
           (caps.bf16 ? SW_CPU_BF16 : 0) | (caps.fp16 ? SW_CPU_NEONFP16 : 0);
}

static void read_model(char *text, size_t size) {
    sw__os_cpu_model(text, size);
}
static void read_signature(char *text, size_t size) {
    sw__os_cpu_model(text, size);
}

#else

static uint32_t detect(void) {
    return 0;
}
static void read_model(char *text, size_t size) {
    sw__os_cpu_model(text, size);
}
static void read_signature(char *text, size_t size) {
    sw__os_cpu_model(text, size);
}

#endif

static void look(void) {
    found = detect();
    read_model(model, sizeof model);
    read_signature(signature, sizeof signature);
    size_t length = strlen(model);
    while (length && model[length - 1] == ' ') model[--length] = 0;
    if (!length) snprintf(model, sizeof model, "unknown");
    uint32_t mask = UINT32_MAX;
    const char *text = getenv("SLIPWAY_CPU_MASK");
    if (text && !sw_cpu_parse(text, &mask)) mask = UINT32_MAX;
    atomic_store(&allowed_mask, mask);
}

uint32_t sw_cpu_features_found(void) {
    pthread_once(&once, look);
    return found;
}

uint32_t sw_cpu_mask(void) {
    pthread_once(&once, look);
    return (uint32_t)atomic_load(&allowed_mask);
}

uint32_t sw_cpu_features(void) {
    return sw_cpu_features_found() & sw_cpu_mask();
}

void sw_cpu_set_mask(uint32_t mask) {
    pthread_once(&once, look);
    atomic_store(&allowed_mask, mask);
}

const char *sw_cpu_model(void) {
    pthread_once(&once, look);
    return model;
}

const char *sw_cpu_signature(void) {
    pthread_once(&once, look);
    return signature;
}

static bool parse_name(const char *name, size_t length, uint32_t *mask) {
    if (length == 3 && !memcmp(name, "all", 3))
        *mask = UINT32_MAX;
    else if (length != 4 || memcmp(name, "none", 4)) {
        for (int i = 0; i < N_FEATURES; i++) {
            if (strlen(features[i].name) != length || memcmp(features[i].name, name, length)) continue;
            *mask |= features[i].bit;
            return true;
        }
        return false;
    }
    return true;
}

bool sw_cpu_parse(const char *text, uint32_t *mask) {
    uint32_t result = 0;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        const char *digits = text + 2;
        size_t length = strspn(digits, "0123456789abcdefABCDEF");
        if (!length || length > 8 || digits[length]) return false;
        for (size_t i = 0; i < length; i++)
            result = result << 4 | (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
        *mask = result;
        return true;
    }
    for (const char *at = text + strspn(text, ", "); *at;) {
        size_t length = strcspn(at, ", ");
        if (!parse_name(at, length, &result)) return false;
        at += length;
        at += strspn(at, ", ");
    }
    if (!text[strspn(text, ", ")]) return false; /* says nothing: not even "none" */
    *mask = result;
    return true;
}

void sw_cpu_text(uint32_t set, char *text, size_t size) {
    if (!size) return;
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < N_FEATURES; i++) {
        if (!(set & features[i].bit)) continue;
        int n = snprintf(text + used, size - used, "%s%s", used ? " " : "", features[i].name);
        used += (size_t)n;
        if (used >= size) return;
    }
    if (!used) snprintf(text, size, "none");
}
