// What turns conv.cu into a product of rows: [rows][depth] cells with weights. The includer has tile.cuh. Rows may be read
// and written in another order (in_rows, out_rows), results and what is added to them may be float32.

// Where row m begins, in elements; a mask of one tap, 0 where there is no row.
DEV void find_row(const sw_cuda_conv *p, int m, int *offset, u32 *mask) {
    *offset = 0, *mask = 0;
    if (m >= p->pixels) return;
    int row = p->in_rows ? (int)load4((const u32 *)p->in_rows + m) : m;
    if (row < 0) return;
    *offset = row * p->in_pitch, *mask = 1;
}

// Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: off by 1.5e-7 at most.
DEV float erf_fast(float x) {
    float y = x < 0.f ? -x : x, t = reciprocal(1.f + .3275911f * y);
    float sum = t * (.254829592f + t * (-.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    float erf = 1.f - sum * exp2_fast(-1.44269504f * y * y);
    return x < 0.f ? -erf : erf;
}

DEV void activate_rows(const sw_cuda_conv *p, float *acc) {
    if (p->act == CUDA_ACT_GELU) {
        FOR_ALL_SUMS(.5f * x * (1.f + erf_fast(x * .70710678f)))
    } else {
        activate_all(p, acc);
    }
}

DEV void add_to_rows(const sw_cuda_conv *p, float *acc, const int *row, int channel) {
    bool even = p->real_channels % 2 == 0;
    UNROLL for (int i = 0; i < MT * 2; i++) {
        if (row[i] < 0) continue;
        size_t at = (size_t)row[i] * p->residual_pitch + channel;
        UNROLL for (int j = 0; j < NT; j++) {
            float *s = acc + ((i >> 1) * NT + j) * 4 + (i & 1) * 2;
            int c = spread(2 * j);
#ifndef FLOATS
            if (even && !p->residual_float && channel + c < p->real_channels) {
                u32 v = load4((const f16 *)p->residual + at + c);
                s[0] += unpack_low(v), s[1] += unpack_high(v);
                continue;
            }
#endif
            UNROLL for (int e = 0; e < 2; e++) {
                if (channel + c + e >= p->real_channels) continue;
#ifndef FLOATS
                if (!p->residual_float) {
                    s[e] += unpack_low(load_half((const f16 *)p->residual + at + c + e));
                    continue;
                }
#endif
                s[e] += load_float((const float *)p->residual + at + c + e);
            }
        }
    }
}

// 2 NT channels of a row as maps have them: VECTOR at a time where rows begin at multiples of 16 bytes.
DEV void store_cells(const sw_cuda_conv *p, const float *acc, int i, cell *to, int channel) {
    bool wide = p->real_channels % 8 == 0;
    UNROLL for (int c = 0; c < 2 * NT; c += VECTOR) {
        u32 v[4];
        pack_sums(acc, i, c, v);
        if (!wide) {
            UNROLL for (int e = 0; e < VECTOR; e++) {
                if (channel + spread(c) + e >= p->real_channels) continue;
#ifdef FLOATS
                store4(to + spread(c) + e, v[e]);
#else
                store_half(to + c + e, e & 1 ? v[e / 2] >> 16 : v[e / 2] & 0xffff);
#endif
            }
        } else if (channel + spread(c) < p->real_channels) {
            store_vector(to + spread(c), v);
        }
    }
}

DEV void store_floats(const sw_cuda_conv *p, const float *acc, int i, float *to, int channel) {
    UNROLL for (int j = 0; j < NT; j++) {
        const float *s = acc + ((i >> 1) * NT + j) * 4 + (i & 1) * 2;
        UNROLL for (int e = 0; e < 2; e++) {
            if (channel + 2 * j + e < p->real_channels) store_float(to + 2 * j + e, s[e]);
        }
    }
}

// As finish of tile.cuh, for rows.
DEV void finish_rows(const sw_cuda_conv *p, float *acc, int *row, int channel, const u32 *more) {
    UNROLL for (int i = 0; i < MT * 2; i++) {
        if (row[i] >= p->pixels)
            row[i] = -1;
        else if (p->out_rows)
            row[i] = (int)load4((const u32 *)p->out_rows + row[i]);
    }
    if (p->residual && p->residual_before_act) add_to_rows(p, acc, row, channel);
    activate_rows(p, acc);
    if (p->residual && !p->residual_before_act) add_to_rows(p, acc, row, channel);
    UNROLL for (int i = 0; i < MT * 2; i++) {
        if (row[i] < 0) continue;
        size_t at = (size_t)row[i] * p->out_pitch + channel;
        if (p->out_float && sizeof(cell) == 2)
            store_floats(p, acc, i, (float *)p->out + at, channel);
        else
            store_cells(p, acc, i, (cell *)p->out + at, channel);
    }
}

#define find_window find_row
#define finish      finish_rows
