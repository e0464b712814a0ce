/* Tests of import/onnx: models written as text, graphs read back as text.
 *
 * A model is a text of lines of words:
 *     ir 8                            (8 where it is not given)
 *     opset 11, opset com.x 1
 *     in x f32 1 3 N ?                (a dim is a number, a name or ?; `in x f32 *`: no shape)
 *     init w f32 2 : 0.5 1.5          (raw data; no dims: a scalar)
 *     out y
 *     meta key value
 *     node Op@name a - -> y | axis=i:1 | pads=is:0,1 | f: | fs: | s: | ss: | t:i64:2:1,2 | g:inner | ref:outer
 *                                     (domain::Op; "-" is an empty name; ref: without type)
 *     graph inner ... end             (before the node that uses it; in, init, node, out as above)
 *     func domain::Name a b -> y | alpha | beta=f:2 ... end */
#ifndef SLIPWAY_IMPORT_ONNX_TEST_MODEL_H
#define SLIPWAY_IMPORT_ONNX_TEST_MODEL_H

#include "base/pb.h"
#include "ir/graph.h"

/* The bytes; free with sw_buf_free. A mistake in the text fails the test. */
sw_buf sw__test_model(const char *text);

/* Imports a model and says what came of it, in a static buffer: one node after the other, as
 * `Squeeze(x, i[0 2]) axis=1 -> y` (constants in place: [1 2] is float32, 1 a scalar, i[1] int64, f16[1] and so on;
 * attributes that are not as by default), or exit code and sentence: `2 m: ...`. Verifies the graph. */
const char *sw__test_import(const char *text);
const char *sw__test_import_bytes(const void *bytes, size_t size, const char *base_dir);
/* The same with an evaluator, sw__test_evaluate: the reference kernels. */
const char *sw__test_import_computing(const char *text);
sw_status sw__test_evaluate(const sw_call *call);
/* The same for a graph that is there. */
const char *sw__test_describe(const sw_graph *graph);

/* A model around one TensorProto: `y = Identity(w)`, as sw__test_import; the tensor's name has to be w. */
const char *sw__test_import_tensor(const sw_buf *tensor, const char *base_dir);

#endif
