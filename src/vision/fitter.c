#include "vision/fitter.h"

#include <string.h>

#include "vision/state.h"

struct sw_fitter {
    const sw_diag *diag;
    sw__look look;
    sw__head head; /* none but its look */
    sw__model model;
    sw_session *sessions[2]; /* by sw_pixel_order, made when the first such picture comes */
    sw__packing packing;
};

sw_status sw_fitter_create(const sw_fitter_options *o, const sw_diag *diag, sw_fitter **result) {
    if (o->height < 1 || o->width < 1 || o->height > 16384 || o->width > 16384)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "the size must be 1 to 16384 pixels a side, it is %d x %d",
                       o->height, o->width);
    if (o->dtype != SW_F32 && o->dtype != SW_F16 && o->dtype != SW_BF16 && o->dtype != SW_F64 && o->dtype != SW_U8 &&
        o->dtype != SW_I8)
        return sw_fail(diag, SW_E_USAGE, NULL, NULL, "pictures are floating, uint8 or int8, not %s",
                       sw_dtype_name(o->dtype));
    sw_fitter *f = sw_calloc(NULL, 1, sizeof *f);
    if (!f) return sw_fail(diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    f->diag = diag;
    f->look = (sw__look){.bgr = o->bgr,
                         .raw = o->raw,
                         .stretch = o->fit == SW_FIT_STRETCH,
                         .cut = o->fit == SW_FIT_CROP,
                         .margin = 1,
                         .pad = (uint8_t)o->pad};
    memcpy(f->look.mean, o->mean, sizeof o->mean);
    memcpy(f->look.std, o->std, sizeof o->std);
    f->head = (sw__head){.name = "given", .look = &f->look};
    f->model = (sw__model){
        .dtype = o->dtype, .channels_last = o->channels_last, .batch = 1, .height = o->height, .width = o->width};
    *result = f;
    return SW_OK;
}

void sw_fitter_destroy(sw_fitter *f) {
    if (!f) return;
    sw_session_destroy(f->sessions[0]);
    sw_session_destroy(f->sessions[1]);
    sw_free(NULL, f->packing.bytes);
    sw_free(NULL, f);
}

static sw_status make_session(sw_fitter *f, sw_pixel_order order) {
    sw_plan *plan;
    if (f->sessions[order]) return SW_OK;
    if (sw__plan_picture(&f->model, &f->head, order, NULL, &plan) != SW_OK)
        return sw_fail(f->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
    sw_session_options options = {.threads = 1};
    sw_status status = sw_session_create(plan, &options, f->diag, &f->sessions[order]);
    sw_plan_unref(plan);
    return status;
}

sw_status sw_fitter_run(sw_fitter *f, const sw_picture *picture, sw_tensor *tensor, sw_fitting *fitting) {
    sw_tensor input;
    SW_TRY(sw__picture_check(picture, f->diag));
    SW_TRY(make_session(f, picture->order));
    SW_TRY(sw__picture_tensor(picture, &f->packing, NULL, f->diag, &input));
    SW_TRY(sw_session_run(f->sessions[picture->order], &input, tensor));
    sw__fitting_of(&f->head, picture, f->model.height, f->model.width, fitting);
    return SW_OK;
}
