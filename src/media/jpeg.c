#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "media/codec.h"

#ifndef JCS_EXTENSIONS
#error "Slipway needs libjpeg-turbo: its BGR output"
#endif

/* A decoder works through all scans of a progressive file before the first row comes out, and a small file can
 * hold very many. Encoders write about ten; a budget of pixels x scans keeps the time in bounds. */
enum { MIN_SCANS = 20, MAX_SCANS = 500 };
#define SCAN_PIXELS ((int64_t)1 << 30)

enum { MARKER_EOI = 0xd9 };

/* libjpeg reports errors by a call that must not return, so it jumps to where `jump` was set. Everything that
 * lives across such a jump is in this struct, in the frame of a caller of the function that calls setjmp: no local
 * variable is read after the jump. */
typedef struct jpeg_reader {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr input;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    const sw__source *source;
    sw_image *image;
    int max_scans;
    bool header_read;
    int orientation;
    sw_status status;              /* of the failure */
    char failure[JMSG_LENGTH_MAX]; /* its text */
    char warning[JMSG_LENGTH_MAX]; /* the first one's text; "" while there is none */
    int warning_row;               /* and where it came: the row of pixels */
} jpeg_reader;

_Noreturn static void reader_fail(jpeg_reader *r, sw_status status, const char *text) {
    r->status = status;
    snprintf(r->failure, sizeof r->failure, "%s", text);
    longjmp(r->jump, 1);
}

static sw_status status_of_error(int code) {
    switch (code) {
    case JERR_OUT_OF_MEMORY:
        return SW_E_NOMEM;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
    case JERR_NO_BACKING_STORE:
        return SW_E_LIMIT; /* max_memory_to_use reached */
    default:
        return SW_E_INPUT;
    }
}

_Noreturn static void on_error(j_common_ptr info) {
    jpeg_reader *r = info->client_data;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    reader_fail(r, status_of_error(info->err->msg_code), text);
}

static void on_message(j_common_ptr info, int level) {
    jpeg_reader *r = info->client_data;
    if (level >= 0) return; /* a trace message */
    info->err->num_warnings++;
    if (!r->header_read) return; /* a strange marker before the picture; nothing was lost yet */
    int row = (int)r->info.input_iMCU_row * r->info.max_v_samp_factor * DCTSIZE;
    if (!r->warning[0]) {
        info->err->format_message(info, r->warning);
        r->warning_row = row;
    }
    /* Where the data ends (libjpeg then sees the end marker that on_dry made) the rest is grey: nothing at all
     * came. */
    if (info->err->msg_code == JWRN_HIT_MARKER && r->info.unread_marker == MARKER_EOI && row == 0 &&
        r->info.input_scan_number <= 1)
        reader_fail(r, SW_E_INPUT, "it ends before the first row of the picture");
}

static void on_print(j_common_ptr info) {
    (void)info;
}

static void on_start(j_decompress_ptr info) {
    (void)info;
}

/* All bytes were given at the start: the file is cut short. An end marker in their place lets libjpeg finish. */
static boolean on_dry(j_decompress_ptr info) {
    static const JOCTET end[2] = {0xff, MARKER_EOI};
    jpeg_reader *r = info->client_data;
    if (!r->header_read) reader_fail(r, SW_E_INPUT, "it ends inside its header");
    WARNMS(info, JWRN_JPEG_EOF);
    info->src->next_input_byte = end;
    info->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void on_skip(j_decompress_ptr info, long n) {
    struct jpeg_source_mgr *input = info->src;
    if (n <= 0) return;
    size_t skip = (size_t)n < input->bytes_in_buffer ? (size_t)n : input->bytes_in_buffer;
    input->next_input_byte += skip;
    input->bytes_in_buffer -= skip;
}

static void on_progress(j_common_ptr info) {
    jpeg_reader *r = info->client_data;
    if (r->info.input_scan_number <= r->max_scans) return;
    char text[JMSG_LENGTH_MAX];
    snprintf(text, sizeof text, "it has more than %d scans", r->max_scans);
    reader_fail(r, SW_E_LIMIT, text);
}

/* The first APP1 marker that holds EXIF decides. */
static int orientation_of(const struct jpeg_decompress_struct *info) {
    for (jpeg_saved_marker_ptr m = info->marker_list; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return sw__exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* Bytes of the coefficients, which libjpeg keeps for the whole picture when there are several scans. */
static int64_t coefficient_bytes(struct jpeg_decompress_struct *info) {
    if (!jpeg_has_multiple_scans(info)) return 0;
    int64_t blocks = 0, across = info->max_h_samp_factor * DCTSIZE, down = info->max_v_samp_factor * DCTSIZE;
    int64_t columns = (info->image_width + across - 1) / across, rows = (info->image_height + down - 1) / down;
    for (int i = 0; i < info->num_components; i++)
        blocks += columns * rows * info->comp_info[i].h_samp_factor * info->comp_info[i].v_samp_factor;
    return blocks * (int64_t)sizeof(JBLOCK);
}

/* Adobe's CMYK, where 255 is no ink, in place of four bytes a pixel to BGR as OpenCV does it. */
static void cmyk_to_bgr(const uint8_t *cmyk, uint8_t *bgr, int width) {
    for (int x = 0; x < width; x++, cmyk += 4, bgr += 3) {
        int k = cmyk[3];
        for (int i = 0; i < 3; i++) bgr[i] = (uint8_t)(k - ((255 - cmyk[2 - i]) * k >> 8));
    }
}

static void read_rows(jpeg_reader *r) {
    struct jpeg_decompress_struct *info = &r->info;
    const sw_picture *picture = &r->image->picture;
    JSAMPARRAY inks = NULL;
    if (info->out_color_space == JCS_CMYK)
        inks = info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE, info->output_width * 4, 1);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = picture->data + picture->pitch * info->output_scanline;
        jpeg_read_scanlines(info, inks ? inks : &row, 1);
        if (inks) cmyk_to_bgr(inks[0], row, picture->width);
    }
}

static void read_header(jpeg_reader *r) {
    struct jpeg_decompress_struct *info = &r->info;
    info->src = &r->input;
    info->progress = &r->progress;
    info->mem->max_memory_to_use = (long)SW_IMAGE_MAX_BYTES;
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    r->orientation = orientation_of(info);
    int64_t scans = SCAN_PIXELS / ((int64_t)info->image_width * info->image_height);
    r->max_scans = scans < MIN_SCANS ? MIN_SCANS : scans > MAX_SCANS ? MAX_SCANS : (int)scans;
    info->out_color_space = info->num_components == 4           ? JCS_CMYK
                            : r->source->order == SW_PIXELS_RGB ? JCS_EXT_RGB
                                                                : JCS_EXT_BGR;
    info->dct_method = JDCT_ISLOW;
    info->do_fancy_upsampling = TRUE;
}

static sw_status decode(jpeg_reader *r) {
    if (setjmp(r->jump)) return r->status;
    jpeg_create_decompress(&r->info);
    read_header(r);
    SW_TRY(
        sw__image_begin(r->source, r->info.image_width, r->info.image_height, coefficient_bytes(&r->info), r->image));
    if (r->info.out_color_space == JCS_EXT_RGB) r->image->picture.order = SW_PIXELS_RGB;
    r->header_read = true;
    jpeg_start_decompress(&r->info);
    read_rows(r);
    return SW_OK; /* without jpeg_finish_decompress: what comes after the last row does not matter */
}

sw_status sw__jpeg_decode(const sw__source *source, sw_image *image) {
    jpeg_reader r = {.source = source, .image = image};
    r.info.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = on_print;
    r.info.client_data = &r;
    r.progress.progress_monitor = on_progress;
    r.input = (struct jpeg_source_mgr){.next_input_byte = source->bytes,
                                       .bytes_in_buffer = source->size,
                                       .init_source = on_start,
                                       .fill_input_buffer = on_dry,
                                       .skip_input_data = on_skip,
                                       .resync_to_restart = jpeg_resync_to_restart,
                                       .term_source = on_start};
    sw_status status = decode(&r);
    jpeg_destroy_decompress(&r.info);
    if (r.failure[0])
        return sw_fail(source->diag, status, source->label, NULL, "cannot decode this JPEG: %s", r.failure);
    if (status != SW_OK) return status;
    if (r.warning[0])
        sw_warn(source->diag, source->label, "damaged JPEG, decoded as far as possible (near row %d: %s)",
                r.warning_row, r.warning);
    return sw__image_turn(source, r.orientation, image);
}

/* The encoder's counterpart of jpeg_reader. */
typedef struct jpeg_writer {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr output;
    jmp_buf jump;
    sw_buf *buf;
    sw_status status;
    char failure[JMSG_LENGTH_MAX];
    JOCTET bytes[1 << 14];
} jpeg_writer;

_Noreturn static void on_write_error(j_common_ptr info) {
    jpeg_writer *w = info->client_data;
    info->err->format_message(info, w->failure);
    w->status = status_of_error(info->err->msg_code);
    longjmp(w->jump, 1);
}

static void on_write_message(j_common_ptr info, int level) {
    (void)info, (void)level;
}

static void on_write_start(j_compress_ptr info) {
    jpeg_writer *w = info->client_data;
    w->output.next_output_byte = w->bytes;
    w->output.free_in_buffer = sizeof w->bytes;
}

static boolean on_full(j_compress_ptr info) {
    jpeg_writer *w = info->client_data;
    sw_buf_append(w->buf, w->bytes, sizeof w->bytes);
    if (w->buf->status != SW_OK) {
        w->status = w->buf->status;
        longjmp(w->jump, 1);
    }
    on_write_start(info);
    return TRUE;
}

static void on_write_end(j_compress_ptr info) {
    jpeg_writer *w = info->client_data;
    sw_buf_append(w->buf, w->bytes, sizeof w->bytes - w->output.free_in_buffer);
}

static sw_status encode(jpeg_writer *w, const sw_picture *picture, int quality) {
    enum { FULL_CHROMA_QUALITY = 90 }; /* from here on thin coloured lines keep their colour */
    if (setjmp(w->jump)) return w->status;
    struct jpeg_compress_struct *info = &w->info;
    jpeg_create_compress(info);
    info->dest = &w->output;
    info->image_width = (JDIMENSION)picture->width;
    info->image_height = (JDIMENSION)picture->height;
    info->input_components = 3;
    info->in_color_space = picture->order == SW_PIXELS_BGR ? JCS_EXT_BGR : JCS_EXT_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    if (quality >= FULL_CHROMA_QUALITY) info->comp_info[0].h_samp_factor = info->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = picture->data + picture->pitch * info->next_scanline;
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
    return w->buf->status;
}

sw_status sw__jpeg_encode(const sw_picture *picture, int quality, const sw_diag *diag, sw_buf *buf) {
    jpeg_writer w = {.buf = buf, .failure = "no memory for the encoded bytes"};
    w.info.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = on_write_error;
    w.errors.emit_message = on_write_message;
    w.errors.output_message = on_print;
    w.info.client_data = &w;
    w.output = (struct jpeg_destination_mgr){
        .init_destination = on_write_start, .empty_output_buffer = on_full, .term_destination = on_write_end};
    sw_status status = encode(&w, picture, quality);
    jpeg_destroy_compress(&w.info);
    if (status != SW_OK) return sw_fail(diag, status, NULL, NULL, "cannot encode a JPEG: %s", w.failure);
    return SW_OK;
}
