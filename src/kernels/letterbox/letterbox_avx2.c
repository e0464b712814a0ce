/* Letterbox in vectors: the bits of ref.c.
 *
 * Each row of the picture is scaled across once, to words of four a pixel (the three channels, and one unused); two of those
 * rows make one of the tensor. Words hold what OpenCV keeps of the first direction, at most 32,640. */
#include <immintrin.h>
#include <string.h>

#include "kernels/fast.h"
#include "kernels/letterbox/values.h"

enum { QUAD = 4, PIXELS = 8 /* at a time */ };

/* Both weights for each channel of a pixel, as the bytes of two neighbours lie after `spread`. */
typedef struct pair {
    int16_t weights[2 * QUAD];
} pair;

typedef struct work {
    const uint8_t *picture;
    int64_t height, width; /* of the picture */
    sw_letterbox_fit fit;
    const sw__tap *columns, *rows;
    const pair *pairs; /* by scaled column */
    int64_t whole;     /* columns before this one may be read with eight bytes, even in the last row */
    bool halve;
    int64_t words; /* of a scaled row, whole vectors */
    int16_t *scratch;
    float divisor;
    const float *mean, *std; /* NULL: none */
    float pad[3];
    bool swap;
    uint8_t pad_byte;
    float *out;
    uint8_t *bytes; /* in place of `out`; NULL */
} work;

static void scale_across(const work *w, int64_t row, int16_t *to) {
    const __m128i spread = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m128i shift = _mm_cvtsi32_si128(w->halve ? 0 : 4);
    const uint8_t *from = w->picture + row * 3 * w->width;
    int64_t x = 0;
    for (; x + 2 <= w->whole; x += 2) {
        __m128i pixels[2];
        for (int i = 0; i < 2; i++) {
            __m128i bytes = _mm_loadl_epi64((const __m128i *)(from + w->columns[x + i].at));
            __m128i weights = _mm_loadu_si128((const __m128i *)&w->pairs[x + i]);
            pixels[i] = _mm_srl_epi32(_mm_madd_epi16(_mm_shuffle_epi8(bytes, spread), weights), shift);
        }
        _mm_storeu_si128((__m128i *)(to + QUAD * x), _mm_packs_epi32(pixels[0], pixels[1]));
    }
    for (; x < w->fit.scaled_width; x++) {
        const sw__tap *tap = &w->columns[x];
        for (int k = 0; k < 3; k++) {
            int sum = from[tap->at + k] * w->pairs[x].weights[0] + from[tap->next + k] * w->pairs[x].weights[1];
            to[QUAD * x + k] = (int16_t)(sum >> (w->halve ? 0 : 4));
        }
    }
}

/* The scaled row in one of the thread's two places for them; `held` tells which rows these hold. */
static const int16_t *scaled_row(const work *w, int64_t row, int16_t *places, int64_t held[2]) {
    int i = held[0] == row ? 0 : held[1] == row ? 1 : held[0] < held[1] ? 0 : 1; /* else in the place of the earlier */
    if (held[i] != row) scale_across(w, row, places + i * w->words);
    held[i] = row;
    return places + i * w->words;
}

static __m256i mix_rows(const int16_t *above, const int16_t *below, __m256i weight, __m256i weight_below, bool halve) {
    __m256i a = _mm256_loadu_si256((const __m256i *)above), b = _mm256_loadu_si256((const __m256i *)below);
    if (!halve) a = _mm256_mulhi_epi16(a, weight), b = _mm256_mulhi_epi16(b, weight_below);
    return _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(2)), 2);
}

/* The bytes of the next PIXELS pixels, four each. */
static __m256i mix_pixels(const work *w, const int16_t *above, const int16_t *below, __m256i weight,
                          __m256i weight_below) {
    __m256i low = mix_rows(above, below, weight, weight_below, w->halve),
            high = mix_rows(above + 16, below + 16, weight, weight_below, w->halve);
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), _MM_SHUFFLE(3, 1, 2, 0));
}

/* A row of bytes. */
static void make_bytes(const work *w, int64_t y, const sw__tap *tap, const int16_t *above, const int16_t *below) {
    const __m256i weight = _mm256_set1_epi16((int16_t)tap->weight_at),
                  weight_below = _mm256_set1_epi16((int16_t)tap->weight_next);
    const __m128i three = w->swap ? _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1)
                                  : _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    uint8_t *out = w->bytes + (y * w->fit.width + w->fit.left) * 3, last[3 * PIXELS + 4];
    for (int64_t x = 0; x < w->fit.scaled_width; x += PIXELS) {
        int64_t left = w->fit.scaled_width - x;
        uint8_t *to = left < PIXELS + 2 ? last : out + 3 * x; /* four bytes behind these are written, too */
        __m256i quads = mix_pixels(w, above + QUAD * x, below + QUAD * x, weight, weight_below);
        _mm_storeu_si128((__m128i *)to, _mm_shuffle_epi8(_mm256_castsi256_si128(quads), three));
        _mm_storeu_si128((__m128i *)(to + 12), _mm_shuffle_epi8(_mm256_extracti128_si256(quads, 1), three));
        if (to == last) memcpy(out + 3 * x, last, (size_t)(3 * (left < PIXELS ? left : PIXELS)));
    }
}

/* A row of the tensor in all three planes. */
static void make_row(const work *w, int64_t y, const sw__tap *tap, const int16_t *above, const int16_t *below) {
    const sw_letterbox_fit *fit = &w->fit;
    const __m256i weight = _mm256_set1_epi16((int16_t)tap->weight_at),
                  weight_below = _mm256_set1_epi16((int16_t)tap->weight_next);
    const __m256 divisor = _mm256_set1_ps(w->divisor);
    float *out = w->out + y * fit->width + fit->left;
    int64_t plane = fit->height * fit->width;
    for (int64_t x = 0; x < fit->scaled_width; x += PIXELS) {
        __m256i bytes = mix_pixels(w, above + QUAD * x, below + QUAD * x, weight, weight_below);
        int64_t left = fit->scaled_width - x;
        __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(left < PIXELS ? left : PIXELS)),
                                           _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        for (int k = 0; k < 3; k++) {
            __m128i shift = _mm_cvtsi32_si128(8 * (w->swap ? 2 - k : k));
            __m256i byte = _mm256_and_si256(_mm256_srl_epi32(bytes, shift), _mm256_set1_epi32(255));
            __m256 v = _mm256_div_ps(_mm256_cvtepi32_ps(byte), divisor);
            if (w->mean) v = _mm256_sub_ps(v, _mm256_set1_ps(w->mean[k]));
            if (w->std) v = _mm256_div_ps(v, _mm256_set1_ps(w->std[k]));
            if (left >= PIXELS) /* masks are slow on some CPUs */
                _mm256_storeu_ps(out + k * plane + x, v);
            else
                _mm256_maskstore_ps(out + k * plane + x, lanes, v);
        }
    }
}

static void fill(float *to, int64_t n, float value) {
    for (int64_t i = 0; i < n; i++) to[i] = value;
}

static void make_rows(void *ctx, int64_t begin, int64_t end, int thread) {
    const work *w = ctx;
    const sw_letterbox_fit *fit = &w->fit;
    int16_t *places = w->scratch + 2 * thread * w->words;
    int64_t held[2] = {-1, -1};
    for (int64_t y = begin; y < end; y++) {
        int64_t row = y - fit->top;
        bool inside = row >= 0 && row < fit->scaled_height;
        int64_t left = inside ? fit->left : fit->width, right = inside ? fit->left + fit->scaled_width : fit->width;
        uint8_t *bytes = w->bytes ? w->bytes + y * 3 * fit->width : NULL;
        if (bytes) {
            memset(bytes, w->pad_byte, (size_t)(3 * left));
            memset(bytes + 3 * right, w->pad_byte, (size_t)(3 * (fit->width - right)));
        }
        for (int k = 0; k < 3 && !bytes; k++) {
            float *to = w->out + (k * fit->height + y) * fit->width;
            fill(to, left, w->pad[k]);
            fill(to + right, fit->width - right, w->pad[k]);
        }
        if (!inside) continue;
        static const sw__tap half = {0, 0, 0, 0};
        const sw__tap *tap = w->halve ? &half : &w->rows[row];
        int64_t first = w->halve ? 2 * row : tap->at, second = w->halve ? 2 * row + 1 : tap->next;
        const int16_t *above = scaled_row(w, first, places, held), *below = scaled_row(w, second, places, held);
        (bytes ? make_bytes : make_row)(w, y, tap, above, below);
    }
}

static void make_pairs(const work *w, pair *pairs) {
    for (int64_t x = 0; x < w->fit.scaled_width; x++)
        for (int i = 0; i < 2 * QUAD; i++)
            pairs[x].weights[i] = (int16_t)(w->halve ? 1 : i % 2 ? w->columns[x].weight_next : w->columns[x].weight_at);
}

static const float *floats_of(const sw_call *c, const char *name) {
    const sw_attr *attr = sw_call_attr(c, name, SW_ATTR_FLOATS);
    return attr->floats.n ? attr->floats.v : NULL;
}

bool sw__letterbox_avx2(const sw_call *c) {
    const sw_tensor *x = c->in[0];
    sw_letterbox_rule rule;
    float value[3][256];
    if (!c->out[0] || sw_call_letterbox(c, &rule) != SW_OK) return false;
    work w = {.picture = x->data, .height = x->dims[0], .width = x->dims[1], .out = c->out[0]->data};
    w.fit = sw_letterbox_place(&rule, w.height, w.width);
    w.halve = sw__letterbox_halves(&w.fit, w.height, w.width);
    w.divisor = sw_call_float(c, "divisor");
    w.mean = floats_of(c, "mean");
    w.std = floats_of(c, "std");
    w.swap = sw_call_int(c, "swap_rb") != 0;
    sw__pixel_values(c, value);
    w.pad_byte = (uint8_t)sw_call_int(c, "pad_value");
    for (int k = 0; k < 3; k++) w.pad[k] = value[k][w.pad_byte];
    w.bytes = sw_call_int(c, "bytes") ? c->out[0]->data : NULL;
    w.words = (w.fit.scaled_width + PIXELS - 1) / PIXELS * PIXELS * QUAD;
    size_t threads = (size_t)sw_pool_threads(c->pool), columns = (size_t)w.fit.scaled_width;
    sw__tap *taps = sw_calloc(c->allocator, columns + (size_t)w.fit.scaled_height, sizeof *taps);
    pair *pairs = sw_calloc(c->allocator, columns, sizeof *pairs);
    w.scratch = sw_calloc(c->allocator, 2 * threads * (size_t)w.words, sizeof *w.scratch);
    bool good = taps && pairs && w.scratch;
    if (good) {
        sw__letterbox_taps(&w.fit, w.height, w.width, taps);
        w.columns = taps;
        w.rows = taps + columns;
        for (int64_t i = 0; w.halve && i < w.fit.scaled_width; i++)
            taps[i].at = (int32_t)(6 * i), taps[i].next = taps[i].at + 3;
        make_pairs(&w, pairs);
        w.pairs = pairs;
        while (w.whole < w.fit.scaled_width && taps[w.whole].at + 8 <= 3 * w.width) w.whole++;
        sw_pool_for(c->pool, w.fit.height, 16, make_rows, &w);
    }
    sw_free(c->allocator, w.scratch);
    sw_free(c->allocator, pairs);
    sw_free(c->allocator, taps);
    return good;
}
