#include <png.h>

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "media/codec.h"

/* The largest chunk beside the pixels' own that is kept (an EXIF block), and how many. */
enum { MAX_CHUNK = 1 << 20, MAX_CHUNKS = 64 };

/* Rows that unpack to more than this many bytes, and to more than so many times the file: no photograph but a trap. */
enum { MAX_UNPACKED = 512 << 20, MAX_RATIO = 200 };

/* As in jpeg.c: libpng leaves through a jump, and all that lives across it is here. */
typedef struct png_job {
    png_structp png;
    png_infop info;
    jmp_buf jump;
    const sw__source *source; /* reading */
    size_t at;
    sw_image *image;
    int orientation;
    bool rows_done;
    const sw_picture *picture; /* writing */
    sw_buf *buf;
    sw_status status; /* of the failure */
    char failure[128];
} png_job;

static void on_error(png_structp png, png_const_charp text) {
    png_job *job = png_get_error_ptr(png);
    snprintf(job->failure, sizeof job->failure, "%s", text);
    longjmp(job->jump, 1);
}

/* libpng warns of chunks that are odd but without effect on the pixels. */
static void on_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

/* libpng tells no code for "out of memory", so its allocations go through here. */
static void *on_malloc(png_structp png, png_alloc_size_t size) {
    png_job *job = png_get_mem_ptr(png);
    void *block = sw_alloc(NULL, size);
    if (!block) job->status = SW_E_NOMEM;
    return block;
}

static void on_free(png_structp png, void *block) {
    (void)png;
    sw_free(NULL, block);
}

static void on_read(png_structp png, png_bytep to, size_t n) {
    png_job *job = png_get_io_ptr(png);
    if (job->source->size - job->at < n) png_error(png, "it is cut short");
    memcpy(to, job->source->bytes + job->at, n);
    job->at += n;
}

/* Only what changes pixels is read; the rest (profiles, texts, times) could be large or broken and is not looked
 * at. */
static void ignore_chunks(png_structp png) {
    static const png_byte names[] =
        "cHRM\0gAMA\0iCCP\0sBIT\0sRGB\0bKGD\0hIST\0tRNS\0pHYs\0sPLT\0tIME\0iTXt\0tEXt\0zTXt\0"
        "oFFs\0pCAL\0sCAL";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
}

static void read_orientation(png_job *job) {
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(job->png, job->info, &size, &exif) && exif) job->orientation = sw__exif_orientation(exif, size);
}

static void refuse_trap(png_job *job) {
    uint64_t bytes = (uint64_t)png_get_rowbytes(job->png, job->info) * png_get_image_height(job->png, job->info);
    if (bytes <= MAX_UNPACKED || bytes / MAX_RATIO <= job->source->size) return;
    job->status = SW_E_LIMIT;
    png_error(job->png, "its rows would unpack to more than 512 MiB and 200 times the file's size");
}

static sw_status decode(png_job *job) {
    if (setjmp(job->jump)) return job->status;
    png_structp png = job->png;
    png_infop info = job->info;
    png_set_read_fn(png, job, on_read);
    png_set_user_limits(png, SW_PICTURE_MAX_SIDE, SW_PICTURE_MAX_SIDE);
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_set_chunk_cache_max(png, MAX_CHUNKS);
    ignore_chunks(png);
    png_read_info(png, info);
    png_uint_32 height = png_get_image_height(png, info);
    SW_TRY(sw__image_begin(job->source, png_get_image_width(png, info), height, 0, job->image));
    refuse_trap(job);
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_bgr(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const sw_picture *picture = &job->image->picture;
    if (png_get_rowbytes(png, info) != (size_t)picture->width * 3) png_error(png, "its rows have an unexpected size");
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < height; y++) png_read_row(png, picture->data + picture->pitch * y, NULL);
    job->rows_done = true;
    read_orientation(job);
    png_read_end(png, info);
    read_orientation(job);
    return SW_OK;
}

static sw_status job_start_failed(const sw_diag *diag, const char *label) {
    return sw_fail(diag, SW_E_NOMEM, label, NULL, "not enough memory for a PNG");
}

/* libpng checks the limits itself while it reads the header, with a sentence that does not tell them. */
static bool header_is_too_large(const sw__source *source) {
    enum { WIDTH_AT = 16, HEIGHT_AT = 20, END = 24 };
    if (source->size < END || memcmp(source->bytes + 12, "IHDR", 4) != 0) return false;
    png_uint_32 width = png_get_uint_32(source->bytes + WIDTH_AT), height = png_get_uint_32(source->bytes + HEIGHT_AT);
    return width > SW_PICTURE_MAX_SIDE || height > SW_PICTURE_MAX_SIDE;
}

sw_status sw__png_decode(const sw__source *source, sw_image *image) {
    if (header_is_too_large(source))
        return sw__image_begin(source, png_get_uint_32(source->bytes + 16), png_get_uint_32(source->bytes + 20), 0,
                               image);
    png_job job = {.source = source, .image = image, .orientation = 1, .status = SW_E_INPUT};
    job.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, &job, on_malloc, on_free);
    if (job.png) job.info = png_create_info_struct(job.png);
    sw_status status = job.info ? decode(&job) : job_start_failed(source->diag, source->label);
    if (job.png) png_destroy_read_struct(&job.png, &job.info, NULL);
    if (job.failure[0] && !job.rows_done)
        return sw_fail(source->diag, status, source->label, NULL, "cannot decode this PNG: %s", job.failure);
    if (job.failure[0])
        sw_warn(source->diag, source->label, "damaged PNG: all rows came, but then: %s", job.failure);
    else if (status != SW_OK)
        return status;
    return sw__image_turn(source, job.orientation, image);
}

static void on_write(png_structp png, png_bytep from, size_t n) {
    png_job *job = png_get_io_ptr(png);
    sw_buf_append(job->buf, from, n);
    if (job->buf->status == SW_OK) return;
    job->status = job->buf->status;
    png_error(png, "no memory for the encoded bytes");
}

static void on_flush(png_structp png) {
    (void)png;
}

static sw_status encode(png_job *job) {
    enum { COMPRESSION = 4 }; /* a third of the time of zlib's default for a few per cent more bytes */
    if (setjmp(job->jump)) return job->status;
    png_structp png = job->png;
    const sw_picture *picture = job->picture;
    png_uint_32 height = (png_uint_32)picture->height;
    png_set_write_fn(png, job, on_write, on_flush);
    png_set_IHDR(png, job->info, (png_uint_32)picture->width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, COMPRESSION);
    png_write_info(png, job->info);
    if (picture->order == SW_PIXELS_BGR) png_set_bgr(png);
    for (png_uint_32 y = 0; y < height; y++) png_write_row(png, picture->data + picture->pitch * y);
    png_write_end(png, NULL);
    return SW_OK;
}

sw_status sw__png_encode(const sw_picture *picture, const sw_diag *diag, sw_buf *buf) {
    png_job job = {.picture = picture, .buf = buf, .status = SW_E_INTERNAL};
    job.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, &job, on_malloc, on_free);
    if (job.png) job.info = png_create_info_struct(job.png);
    sw_status status = job.info ? encode(&job) : job_start_failed(diag, NULL);
    if (job.png) png_destroy_write_struct(&job.png, &job.info);
    if (job.failure[0]) return sw_fail(diag, status, NULL, NULL, "cannot encode a PNG: %s", job.failure);
    return status;
}
