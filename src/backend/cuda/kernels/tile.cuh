// What convolutions on tensor cores share. The includer sets MT and NT: a warp holds MT x NT tiles of 16 pixels by 8 channels,
// tile (i, j) in acc[(i NT + j) 4 ..] as `multiply` leaves it; and WM, WN, WK, the warps of a block along pixels, channels, depth.
#ifdef FLOATS
enum { VECTOR = NT % 2 == 0 ? 4 : 2, GROUP = VECTOR }; // channels of a store, and in a row of a thread
#else
enum { VECTOR = NT % 4 == 0 ? 8 : NT % 2 == 0 ? 4 : 2, GROUP = 2 * NT };
#endif
enum { WORDS = VECTOR * (int)sizeof(cell) / 4 }; // of a store

// The channel that row `row` of the weights in shared memory holds: a thread's columns of GROUP / 2 tiles are neighbours.
DEV int channel_of_row(int row) {
    int warp = row / (8 * NT), q = row % (8 * NT), j = q >> 3, i = q & 7;
    return warp * 8 * NT + j / (GROUP / 2) * 4 * GROUP + (i >> 1) * GROUP + j % (GROUP / 2) * 2 + (i & 1);
}
// Channels from a thread's first one to its c-th.
DEV int spread(int c) {
    return c + c / GROUP * 3 * GROUP;
}

#define FOR_SUMS(n, expression)                                                                                        \
    UNROLL for (int i = 0; i < (n); i++) {                                                                             \
        float x = acc[i];                                                                                              \
        acc[i] = (expression);                                                                                         \
    }
#define FOR_ALL_SUMS(expression) FOR_SUMS(4 * MT * NT, expression)

DEV void activate_sums(const sw_cuda_conv *p, float *acc, int n) {
    const float a = p->act_a, b = p->act_b;
    switch (p->act) {
    case CUDA_ACT_SILU:
        FOR_SUMS(n, silu(x)) break;
    case CUDA_ACT_RELU:
        FOR_SUMS(n, maximum(x, 0.f)) break;
    case CUDA_ACT_NONE:
        break;
    default:
        FOR_SUMS(n, activate(p->act, a, b, x)) break;
    }
}
DEV void activate_all(const sw_cuda_conv *p, float *acc) {
    activate_sums(p, acc, MT * NT * 4);
}

// The pixel of the residual that belongs to an output pixel.
DEV int residual_pixel(const sw_cuda_conv *p, int pixel) {
    if (p->residual_shift == 0) return pixel;
    int row = fast_div(pixel, p->by_out_width), x = pixel - row * p->out_width; // rows of all pictures: each has 2^shift n
    return (row >> p->residual_shift) * (p->out_width >> p->residual_shift) + (x >> p->residual_shift);
}

// VECTOR channels as they are stored.
DEV void load_vector(const cell *from, u32 *v) {
    if (WORDS == 4) {
        vec4 w = load16(from);
        v[0] = w.x, v[1] = w.y, v[2] = w.z, v[3] = w.w;
    } else {
        UNROLL for (int e = 0; e < WORDS; e++) v[e] = load4((const u32 *)from + e);
    }
}

// To VECTOR channels from c on of a thread's i-th pixel.
DEV void add_vector(float *acc, int i, int c, const u32 *v) {
    UNROLL for (int e = 0; e < VECTOR / 2; e++) {
        float *s = acc + ((i >> 1) * NT + c / 2 + e) * 4 + (i & 1) * 2;
#ifdef FLOATS
        s[0] += as_float(v[2 * e]), s[1] += as_float(v[2 * e + 1]);
#else
        s[0] += unpack_low(v[e]), s[1] += unpack_high(v[e]);
#endif
    }
}

// The residual of a thread's sums, 2 NT channels of each pixel, VECTOR in a row: loaded before the products are done where there
// are registers for it (EARLY; halves only).
#ifdef FLOATS
#undef EARLY_TILES
#define EARLY_TILES 0
#elif !defined EARLY_TILES
#define EARLY_TILES 4
#endif
enum { EARLY = MT * NT <= EARLY_TILES, MORE = MT * 2 * NT };
#define FOR_RESIDUAL(statement)                                                                                        \
    UNROLL for (int i = 0; i < MT * 2; i++) {                                                                          \
        if (pixel[i] >= p->pixels) continue;                                                                           \
        const cell *from =                                                                                             \
            (const cell *)p->residual + (size_t)residual_pixel(p, pixel[i]) * p->residual_pitch + channel;             \
        UNROLL for (int c = 0; c < 2 * NT; c += VECTOR) {                                                              \
            if (channel + spread(c) < p->out_channels) statement                                                       \
        }                                                                                                              \
    }
DEV void load_residual(const sw_cuda_conv *p, u32 *more, const int *pixel, int channel) {
    UNROLL for (int i = 0; i < MORE; i++) more[i] = 0;
    if (EARLY && p->residual) FOR_RESIDUAL(load_vector(from + spread(c), more + i * NT + c / 2);)
}
DEV void add_residual(const sw_cuda_conv *p, float *acc, const int *pixel, int channel, const u32 *more) {
    if (EARLY) {
        UNROLL for (int i = 0; i < MT * 2; i++) {
            UNROLL for (int c = 0; c < 2 * NT; c += VECTOR) add_vector(acc, i, c, more + i * NT + c / 2);
        }
    } else {
        FOR_RESIDUAL({
            u32 v[4];
            load_vector(from + spread(c), v);
            add_vector(acc, i, c, v);
        })
    }
}

// The output pixels of a thread whose rows of the block begin with pixel m: m, m + 8, m + 16 ...
DEV void pixels_from(int m, int *pixel) {
    UNROLL for (int i = 0; i < MT * 2; i++) pixel[i] = m + (i >> 1) * 16 + (i & 1) * 8;
}

// Sums begin with the bias of 2 NT channels from `channel` on, which is loaded together with the first operands then.
DEV void start_sums(const sw_cuda_conv *p, float *acc, int channel, bool biased) {
    UNROLL for (int j = 0; j < NT; j++) {
        UNROLL for (int e = 0; e < 2; e++) {
            int c = channel + spread(2 * j) + e;
            float bias = biased && c < p->out_channels ? load_float_const((const float *)p->bias + c) : 0.f;
            UNROLL for (int i = 0; i < MT; i++) acc[(i * NT + j) * 4 + e] = acc[(i * NT + j) * 4 + 2 + e] = bias;
        }
    }
}

// The same in the end: 2 NT channels from `channel` on.
DEV void add_bias(const sw_cuda_conv *p, float *acc, int channel) {
    UNROLL for (int j = 0; j < NT; j++) {
        UNROLL for (int e = 0; e < 2; e++) {
            int c = channel + spread(2 * j) + e;
            float bias = c < p->out_channels ? load_float_const((const float *)p->bias + c) : 0.f;
            UNROLL for (int i = 0; i < MT; i++) {
                acc[(i * NT + j) * 4 + e] += bias;
                acc[(i * NT + j) * 4 + 2 + e] += bias;
            }
        }
    }
}

// VECTOR channels from c on of what a thread holds of its i-th pixel, as they are stored.
DEV void pack_sums(const float *acc, int i, int c, u32 *v) {
    UNROLL for (int e = 0; e < VECTOR / 2; e++) {
        const float *s = acc + ((i >> 1) * NT + c / 2 + e) * 4 + (i & 1) * 2;
#ifdef FLOATS
        v[2 * e] = rounded(s[0]), v[2 * e + 1] = rounded(s[1]);
#else
        v[e] = pack(s[0], s[1]);
#endif
    }
}
DEV void store_vector(cell *to, const u32 *v) {
    if (WORDS == 4) {
        vec4 w = {v[0], v[1], v[2], v[3]};
        store16(to, w);
    } else if (WORDS == 2) {
        store8(to, v[0], v[1]);
    } else {
        store4(to, v[0]);
    }
}

DEV void store_sums(const sw_cuda_conv *p, const float *acc, const int *pixel, int channel) {
    UNROLL for (int i = 0; i < MT * 2; i++) {
        if (pixel[i] >= p->pixels) continue;
        cell *to = (cell *)p->out + (size_t)pixel[i] * p->out_pitch + channel;
        UNROLL for (int c = 0; c < 2 * NT; c += VECTOR) {
            if (channel + spread(c) >= p->out_channels) continue;
            u32 v[4];
            pack_sums(acc, i, c, v);
            store_vector(to + spread(c), v);
        }
    }
}

// Activation, residual, store of sums that began with the bias: a thread holds the output pixels `pixel` (p->pixels or more:
// none) and 2 NT channels from `channel` on.
DEV void finish(const sw_cuda_conv *p, float *acc, const int *pixel, int channel, const u32 *more) {
    if (p->residual && p->residual_before_act) add_residual(p, acc, pixel, channel, more);
    activate_all(p, acc);
    if (p->residual && !p->residual_before_act) add_residual(p, acc, pixel, channel, more);
    store_sums(p, acc, pixel, channel);
}

// Where the window of output pixel m begins (in elements, maybe before the map), and which of its taps are inside.
DEV void find_window(const sw_cuda_conv *p, int m, int *offset, u32 *mask) {
    *offset = 0, *mask = 0;
    if (m >= p->pixels) return;
    int q = fast_div(m, p->by_out_width), x = m - q * p->out_width;
    int n = fast_div(q, p->by_out_height), y = q - n * p->out_height;
    int top = (y * p->stride_h - p->pad_top) >> p->in_shift, left = (x * p->stride_w - p->pad_left) >> p->in_shift;
    *offset = ((n * p->height + top) * p->width + left) * p->in_pitch;
    u32 row = 0;
    for (int s = 0, at = left; s < p->kernel_w; s++, at += p->dilation_w) row |= (u32)(at >= 0 && at < p->width) << s;
    for (int r = 0, at = top; r < p->kernel_h; r++, at += p->dilation_h)
        if (at >= 0 && at < p->height) *mask |= row << r * p->kernel_w;
}

// Adds up the sums of the WK warps that share a tile; true for the warp that holds the result.
DEV bool add_slices(float *acc, u32 shared, int tile, int slice, int lane) {
    if (WK == 1) return true;
    barrier();
    if (slice > 0) {
        UNROLL for (int i = 0; i < MT * NT; i++) {
            vec4 v = {as_bits(acc[i * 4]), as_bits(acc[i * 4 + 1]), as_bits(acc[i * 4 + 2]), as_bits(acc[i * 4 + 3])};
            shared_store16(shared + ((((slice - 1) * MT * NT + i) * WM * WN + tile) * 32 + lane) * 16, v);
        }
    }
    barrier();
    if (slice > 0) return false;
    UNROLL for (int s = 0; s < WK - 1; s++) {
        UNROLL for (int i = 0; i < MT * NT; i++) {
            vec4 v = shared_load16(shared + (((s * MT * NT + i) * WM * WN + tile) * 32 + lane) * 16);
            acc[i * 4] += as_float(v.x), acc[i * 4 + 1] += as_float(v.y);
            acc[i * 4 + 2] += as_float(v.z), acc[i * 4 + 3] += as_float(v.w);
        }
    }
    return true;
}
