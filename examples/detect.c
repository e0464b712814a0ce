/* Finds things in a picture: detect MODEL PICTURE.ppm. MODEL: a YOLO of v8 to v12, .onnx, .pt or .slip, whose one output is
 * 1 x (4 + classes) x boxes. Prints class, score and corners of each.  cc detect.c $(pkg-config --cflags --libs slipway) */
#include <slipway/build.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1280 }; /* pixels: side of the square that the picture is fitted into */
static void show(void *c, const sw_message *m) { fprintf(stderr, "%s: %s\n", m->where ? m->where : "detect", m->text); }
static const sw_diag diag = {.emit = show};

/* Overlap of boxes a and b of centre, width and height: intersection over union. v: 4 rows of n. */
static float iou(const float *v, long n, long a, long b) {
    float both = 1;
    for (int k = 0; k < 2; k++) {
        float ca = v[k * n + a], cb = v[k * n + b], ra = v[(k + 2) * n + a] / 2, rb = v[(k + 2) * n + b] / 2;
        float low = ca - ra > cb - rb ? ca - ra : cb - rb, high = ca + ra < cb + rb ? ca + ra : cb + rb;
        both *= high > low ? high - low : 0;
    }
    return both / (v[2 * n + a] * v[3 * n + a] + v[2 * n + b] * v[3 * n + b] - both);
}

int main(int argc, char **argv) {
    static unsigned char rgb[64 << 20];
    static float x[3 * MOST * MOST];
    sw_plan *plan = NULL;
    sw_session *session = NULL;
    long w = 0, h = 0, best;
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (!file || fscanf(file, "P6 %5ld %5ld 255%*c", &w, &h) != 2 || w < 1 || h < 1 || w * h * 3 > (long)sizeof rgb ||
        fread(rgb, 3, (size_t)(w * h), file) != (size_t)(w * h))
        return fprintf(stderr, "usage: detect MODEL PICTURE.ppm (binary, 8 bits)\n"), 1;
    if (sw_plan_build(argv[1], &diag, &plan) || sw_session_create(plan, NULL, &diag, &session)) return 2;
    long fixed = (long)sw_plan_input(plan, 0)->type.dims[3], side = fixed > 0 && fixed <= MOST ? fixed : 640;
    sw_tensor in = {.dtype = SW_F32, .rank = 4, .dims = {1, 3, side, side}, .data = x}, out = {0};
    double scale = (double)(w > h ? w : h) / (double)side; /* the picture lies in the upper left, the rest is grey */
    for (long i = 0, px, py; i < 3 * side * side; i++) {
        px = (long)((i % side + 0.5) * scale), py = (long)((i / side % side + 0.5) * scale);
        x[i] = px < w && py < h ? (float)rgb[(py * w + px) * 3 + i / (side * side)] / 255 : 0.447f;
    }
    if (sw_plan_outputs(plan) != 1 || sw_session_run(session, &in, &out) || out.rank != 3 || out.dtype != SW_F32) return 3;
    const float *v = out.data; /* rows: centre x and y, width, height, a score for each class */
    long n = (long)out.dims[2], *class = calloc((size_t)n + 1, sizeof *class);
    float *score = calloc((size_t)n + 1, sizeof *score);
    for (long i = 4 * n; score && class && i < out.dims[1] * n; i++)
        if (v[i] > score[i % n]) score[i % n] = v[i], class[i % n] = i / n - 4;
    while (score && class) { /* the best that is left; those of its class that overlap it go */
        for (long i = best = 0; i < n; i++) best = score[i] > score[best] ? i : best;
        if (score[best] <= 0.25f) break;
        float cx = v[best], cy = v[n + best], rx = v[2 * n + best] / 2, ry = v[3 * n + best] / 2;
        printf("%ld %.3f %.1f %.1f %.1f %.1f\n", class[best], score[best], (cx - rx) * scale, (cy - ry) * scale,
               (cx + rx) * scale, (cy + ry) * scale);
        for (long i = 0; i < n; i++)
            if (class[i] == class[best] && (i == best || iou(v, n, i, best) > 0.7f)) score[i] = 0;
    }
    sw_session_destroy(session);
    sw_plan_unref(plan);
    return fclose(file);
}
