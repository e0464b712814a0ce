/* A developer's program, not installed: runs Letterbox, YoloDecode and Nms on what stdin brings, so that the tests in
 * tests/py can compare them with OpenCV, torch and Ultralytics. Requests follow each other until the end of stdin:
 *
 *   Letterbox HEIGHT WIDTH name=value...\n  then HEIGHT * WIDTH * 3 bytes
 *   YoloDecode|Nms N A B name=value...\n    then N * A * B floats
 *
 * `classes` and `strides` take integers with commas. The answer is a line of dims for each output, then its
 * bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/plan.h"
#include "kernels/kernel.h"

enum { MAX_ATTRS = 16, MAX_LIST = 64 };

static void report(void *ctx, const sw_message *message) {
    (void)ctx;
    fprintf(stderr, "%s: %s\n", message->where ? message->where : "", message->text);
}

static void stop(const char *why) {
    fprintf(stderr, "vision_check: %s\n", why);
    exit(1);
}

static void set_attr(sw_op op, sw_attr *attrs, char *word, int64_t *list) {
    char *value = strchr(word, '=');
    if (!value) stop("name=value expected");
    *value++ = 0;
    sw_attr *attr = sw_attrs_find(op, attrs, word);
    if (!attr) stop("no such attribute");
    attr->set = true;
    const sw_attr_def *def = &sw_op_get(op)->attrs[attr - attrs];
    if (def->type == SW_ATTR_INT)
        attr->i = strtoll(value, NULL, 10);
    else if (def->type == SW_ATTR_FLOAT)
        attr->f = strtof(value, NULL);
    else if (def->type == SW_ATTR_STRING)
        attr->s = value;
    else if (def->type == SW_ATTR_INTS) {
        attr->ints.v = list;
        for (attr->ints.n = 0; *value && attr->ints.n < MAX_LIST; value += *value == ',')
            list[attr->ints.n++] = strtoll(value, &value, 10);
    } else
        stop("attribute of a type that is not read here");
}

static void answer(const sw_tensor *t) {
    for (int i = 0; i < t->rank; i++) printf("%lld ", (long long)t->dims[i]);
    printf("\n");
    fwrite(t->data, 1, (size_t)sw_tensor_bytes(t), stdout);
}

static void serve(char *line) {
    char *save = NULL, *name = strtok_r(line, " \n", &save);
    sw_op op = sw_op_find("slipway", name ? name : "");
    if (op == SW_OP_COUNT) stop("no such operator");
    sw_tensor in = {.dtype = op == SW_OP_Letterbox ? SW_U8 : SW_F32, .rank = 3};
    for (int i = 0; i < in.rank; i++) {
        if (op == SW_OP_Letterbox && i == 2) {
            in.dims[i] = 3;
            continue;
        }
        char *word = strtok_r(NULL, " \n", &save);
        in.dims[i] = word ? strtoll(word, NULL, 10) : 0;
    }
    sw_attr attrs[MAX_ATTRS];
    int64_t lists[2][MAX_LIST];
    int n_lists = 0;
    sw_op_default_attrs(op, attrs);
    for (char *word; (word = strtok_r(NULL, " \n", &save));) set_attr(op, attrs, word, lists[n_lists++ % 2]);

    in.data = sw_alloc(NULL, (size_t)sw_tensor_bytes(&in));
    if (!in.data || fread(in.data, 1, (size_t)sw_tensor_bytes(&in), stdin) != (size_t)sw_tensor_bytes(&in))
        stop("the input is too short");
    sw_tensor out[2] = {{0}};
    const sw_tensor *inputs[] = {&in};
    sw_tensor *outputs[] = {&out[0], &out[1]};
    sw_diag diag = {.emit = report};
    sw_call call = {.op = op,
                    .attrs = attrs,
                    .n_in = 1,
                    .n_out = sw_op_get(op)->max_out,
                    .in = inputs,
                    .out = outputs,
                    .diag = &diag};
    if (sw_op_infer(&call) != SW_OK) exit(1);
    for (int i = 0; i < call.n_out; i++) {
        out[i].data = sw_alloc(NULL, (size_t)sw_tensor_bytes(&out[i]));
        if (!out[i].data) stop("out of memory");
    }
    if (sw_kernel_ref(op)(&call) != SW_OK) exit(1);
    for (int i = 0; i < call.n_out; i++) {
        answer(&out[i]);
        sw_free(NULL, out[i].data);
    }
    fflush(stdout);
    sw_free(NULL, in.data);
}

int main(void) {
    char line[4096];
    while (fgets(line, sizeof line, stdin)) serve(line);
    return 0;
}
