/* The plan file's header and the field numbers of its control part. Private to engine/; docs/plan-format.md explains
 * them. */
#ifndef SLIPWAY_ENGINE_PLAN_FIELDS_H
#define SLIPWAY_ENGINE_PLAN_FIELDS_H

#include <stdint.h>

/* The header, little endian: magic, u32 version, u32 CRC of the control part, u64 bytes of the file, of the control
 * part (which follows the header), offset and bytes of the weights. */
#define SW__PLAN_MAGIC "\x93SLIP\r\n\x1a"
enum {
    SW__PLAN_MAGIC_BYTES = 8,
    SW__PLAN_HEADER_BYTES = 64,
    SW__PLAN_PAGE = 4096, /* weights begin at a multiple */
    SW__PLAN_ALIGN = 64,  /* and so does each of them */
    SW__PLAN_MAX_CONTROL = 64 << 20
};

enum { SW__FLAG_STRIPPED = 1, SW__FLAG_PORTABLE = 2, SW__FLAG_TF32 = 4, SW__FLAG_WHOLE_MAPS = 8 };

enum { /* of the control part */
       SW__CONTROL_FLAGS = 1,
       SW__CONTROL_FEATURES = 2, /* names of CPU features, "avx2 avx512" */
       SW__CONTROL_VALUE = 3,
       SW__CONTROL_STEP = 4,
       SW__CONTROL_INPUT = 5, /* numbers of values */
       SW__CONTROL_OUTPUT = 6,
       SW__CONTROL_META = 7,
       SW__CONTROL_RECEIPT = 8,
       SW__CONTROL_PACK = 9,
       SW__CONTROL_EXTENT = 10, /* profiles: min, opt, max of SW_MAX_RANK dims of each input of each */
       SW__CONTROL_TIME = 11,
       SW__CONTROL_GPU = 12,      /* what tiles were chosen on */
       SW__CONTROL_GPU_TILE = 13, /* pairs: a convolution, its tile */
       SW__CONTROL_GPU_CODE = 14, /* of a kernel */
       SW__CONTROL_GPU_TYPE = 15  /* of maps, as ONNX numbers types; absent: float16 */
};
enum { SW__GPU_NAME = 1, SW__GPU_SM = 2, SW__GPU_ANY = 3 };
enum { SW__CODE_KERNEL = 1, SW__CODE_TEXT = 2, SW__CODE_OFFSET = 3, SW__CODE_BYTES = 4, SW__CODE_CRC = 5 };
enum { SW__PAIR_KEY = 1, SW__PAIR_VALUE = 2 };
enum { /* of a value */
       SW__VALUE_NAME = 1,
       SW__VALUE_DTYPE = 2, /* as ONNX numbers them; 0: not known */
       SW__VALUE_RANK = 3,  /* and one more; 0: not known */
       SW__VALUE_DIM = 4,   /* -1: not known; below: symbols */
       SW__VALUE_LAYOUT = 5,
       SW__VALUE_DATA = 6,    /* offset in the weights and one more; 0: no constant */
       SW__VALUE_MISSING = 7, /* a constant without data: only packed, or stripped */
       SW__VALUE_ROOT = 8,    /* of a view: number of the value and one more */
       SW__VALUE_CHANNEL = 9
};
enum { /* of a step */
       SW__STEP_DOMAIN = 1,
       SW__STEP_OP = 2,
       SW__STEP_NAME = 3,
       SW__STEP_TACTIC = 4,
       SW__STEP_IN = 5, /* number of the value and one more; 0: absent */
       SW__STEP_OUT = 6,
       SW__STEP_ATTR = 7
};
enum { /* of an attribute; one of the values by its type in the table of operators */
       SW__ATTR_NAME = 1,
       SW__ATTR_INT = 2,
       SW__ATTR_FLOAT = 3,
       SW__ATTR_STRING = 4,
       SW__ATTR_INTS = 5,
       SW__ATTR_FLOATS = 6,
       SW__ATTR_DTYPE = 7,
       SW__ATTR_DIM = 8,
       SW__ATTR_DATA = 9,
       SW__ATTR_BODY =
           10, /* the control part of a graph within, and the inputs it has by the operator's rules and of captures */
       SW__ATTR_BODY_IN = 11,
       SW__ATTR_BODY_CAPTURED = 12
};
enum { SW__PACK_STEP = 1, SW__PACK_TACTIC = 2, SW__PACK_OFFSET = 3, SW__PACK_BYTES = 4 };
enum { SW__TIME_STEP = 1, SW__TIME_TACTIC = 2, SW__TIME_NS = 3, SW__TIME_REASON = 4 };

#endif
