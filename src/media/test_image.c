#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>

#include "base/os.h"
#include "media/codec.h"
#include "media/image.h"
#include "unit.h"

/* -- Files made on the spot */

/* A smooth picture with a different colour in each corner, so that every turn shows. */
static sw_image gradient(int width, int height) {
    sw_image image;
    CHECK_INT(sw_image_create(width, height, NULL, &image), SW_OK);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = image.picture.data + image.picture.pitch * (size_t)y + (size_t)x * 3;
            p[0] = (uint8_t)(20 + x * 200 / width);
            p[1] = (uint8_t)(20 + y * 200 / height);
            p[2] = 128;
        }
    return image;
}

static const uint8_t *pixel(const sw_image *image, int x, int y) {
    return image->picture.data + image->picture.pitch * (size_t)y + (size_t)x * 3;
}

static void check_pixel(const sw_image *image, int x, int y, int b, int g, int r, int tolerance) {
    CHECK_NEAR(pixel(image, x, y)[0], b, tolerance);
    CHECK_NEAR(pixel(image, x, y)[1], g, tolerance);
    CHECK_NEAR(pixel(image, x, y)[2], r, tolerance);
}

typedef struct jpeg_kind {
    J_COLOR_SPACE space; /* of the samples, all of value `sample` */
    int components, width, height, sample;
    bool progressive;
} jpeg_kind;

static sw_buf flat_jpeg(jpeg_kind kind) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, &size);
    info.image_width = (JDIMENSION)kind.width;
    info.image_height = (JDIMENSION)kind.height;
    info.input_components = kind.components;
    info.in_color_space = kind.space;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 100, TRUE);
    if (kind.progressive) jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    JSAMPLE *row = malloc((size_t)kind.width * (size_t)kind.components);
    memset(row, kind.sample, (size_t)kind.width * (size_t)kind.components);
    while (info.next_scanline < info.image_height) jpeg_write_scanlines(&info, &row, 1);
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(row);
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_buf_append(&buf, bytes, size);
    free(bytes);
    return buf;
}

/* A TIFF directory with the orientation as its only entry. */
static void put_exif(sw_buf *buf, bool little, int orientation) {
    uint8_t big_endian[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, (uint8_t)orientation,
                            0,   0,   0, 0,  0, 0};
    uint8_t little_endian[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, (uint8_t)orientation,
                               0,   0,   0,  0, 0, 0, 0};
    sw_buf_append(buf, little ? little_endian : big_endian, sizeof big_endian);
}

/* The JPEG with an EXIF marker behind its first two bytes. */
static sw_buf jpeg_with_exif(const sw_buf *jpeg, bool little, int orientation) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_buf_append(&buf, jpeg->data, 2);
    sw_buf_append(&buf,
                  "\xff\xe1\0\x22"
                  "Exif\0\0",
                  10);
    put_exif(&buf, little, orientation);
    sw_buf_append(&buf, jpeg->data + 2, jpeg->size - 2);
    return buf;
}

static void png_to_buf(png_structp png, png_bytep bytes, size_t n) {
    sw_buf_append(png_get_io_ptr(png), bytes, n);
}
static void png_flush_nothing(png_structp png) {
    (void)png;
}

typedef struct png_kind {
    int color_type, depth, width, height;
    bool interlaced;
    int orientation; /* 0: no eXIf chunk */
} png_kind;

/* Rows of `row_bytes` each, one after the other. Palette pictures get the colours (i, 2i, 3i). */
static sw_buf make_png(png_kind kind, const uint8_t *rows, size_t row_bytes) {
    sw_buf buf = sw_buf_make(NULL, 0), exif = sw_buf_make(NULL, 0);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &buf, png_to_buf, png_flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)kind.width, (png_uint_32)kind.height, kind.depth, kind.color_type,
                 kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_color palette[4];
    for (int i = 0; i < 4; i++) palette[i] = (png_color){(png_byte)i, (png_byte)(2 * i), (png_byte)(3 * i)};
    if (kind.color_type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 4);
    if (kind.orientation) {
        put_exif(&exif, true, kind.orientation);
        png_set_eXIf_1(png, info, (png_uint_32)exif.size, exif.data);
    }
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < kind.height; y++) png_write_row(png, rows + row_bytes * (size_t)y);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    sw_buf_free(&exif);
    return buf;
}

static sw_status decode(const sw_buf *buf, sw_image *image) {
    return sw_image_decode(buf->data, buf->size, "it", NULL, &sw_test_diag, image);
}

/* Decoding fails with that code and message, and the picture stays empty. */
static void check_refused(const void *bytes, size_t size, sw_status status, const char *message) {
    sw_image image;
    CHECK_INT(sw_image_decode(bytes, size, "it", NULL, &sw_test_diag, &image), status);
    CHECK_STR(sw_test_message(), message);
    CHECK(image.picture.data == NULL);
}

/* -- Round trips */

SW_TEST(image_png_round_trip_is_exact) {
    static const int sizes[][2] = {{1, 1}, {7, 3}, {64, 33}};
    for (size_t i = 0; i < 3; i++) {
        sw_image image = gradient(sizes[i][0], sizes[i][1]), back;
        sw_buf buf = sw_buf_make(NULL, 0);
        CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_PNG, 0, &sw_test_diag, &buf), SW_OK);
        CHECK_INT(decode(&buf, &back), SW_OK);
        CHECK_INT(back.picture.width, image.picture.width);
        CHECK_INT(back.picture.height, image.picture.height);
        CHECK_INT(back.picture.order, SW_PIXELS_BGR);
        for (int y = 0; y < sizes[i][1]; y++)
            CHECK(memcmp(pixel(&back, 0, y), pixel(&image, 0, y), (size_t)sizes[i][0] * 3) == 0);
        sw_image_destroy(&image);
        sw_image_destroy(&back);
        sw_buf_free(&buf);
    }
}

SW_TEST(image_jpeg_round_trip_is_near) {
    static const int qualities[] = {75, 92, 100};
    for (size_t i = 0; i < 3; i++) {
        sw_image image = gradient(61, 47), back;
        sw_buf buf = sw_buf_make(NULL, 0);
        CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, qualities[i], &sw_test_diag, &buf), SW_OK);
        CHECK_INT(decode(&buf, &back), SW_OK);
        CHECK_INT(back.picture.width, 61);
        CHECK_INT(back.picture.height, 47);
        for (int y = 0; y < 47; y++)
            for (int x = 0; x < 61; x++) {
                const uint8_t *p = pixel(&image, x, y);
                check_pixel(&back, x, y, p[0], p[1], p[2], qualities[i] == 75 ? 14 : 5);
            }
        sw_image_destroy(&image);
        sw_image_destroy(&back);
        sw_buf_free(&buf);
    }
}

SW_TEST(image_encode_honours_pixel_order) {
    sw_image image = gradient(16, 16), back;
    sw_picture rgb = image.picture;
    rgb.order = SW_PIXELS_RGB;
    static const sw_image_format formats[] = {SW_IMAGE_JPEG, SW_IMAGE_PNG};
    for (size_t i = 0; i < 2; i++) {
        sw_buf buf = sw_buf_make(NULL, 0);
        CHECK_INT(sw_image_encode(&rgb, formats[i], 100, &sw_test_diag, &buf), SW_OK);
        CHECK_INT(decode(&buf, &back), SW_OK);
        const uint8_t *p = pixel(&image, 12, 5);
        check_pixel(&back, 12, 5, p[2], p[1], p[0], 4);
        sw_image_destroy(&back);
        sw_buf_free(&buf);
    }
    sw_image_destroy(&image);
}

SW_TEST(image_encode_refuses_bad_quality_and_full_buffers) {
    sw_image image = gradient(64, 64);
    sw_buf buf = sw_buf_make(NULL, 100);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, 0, &sw_test_diag, &buf), SW_E_USAGE);
    CHECK_STR(sw_test_message(), "a JPEG quality of 0; it must be 1 to 100");
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, 101, &sw_test_diag, &buf), SW_E_USAGE);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_NONE, 90, &sw_test_diag, &buf), SW_E_USAGE);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, 90, &sw_test_diag, &buf), SW_E_LIMIT);
    sw_buf_clear(&buf);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_PNG, 0, &sw_test_diag, &buf), SW_E_LIMIT);
    sw_buf_free(&buf);
    sw_image_destroy(&image);
}

/* -- JPEG */

SW_TEST(image_decodes_in_the_order_that_is_asked_for) {
    sw_image image = gradient(40, 24);
    for (sw_image_format format = SW_IMAGE_JPEG; format <= SW_IMAGE_PNG; format++) {
        sw_image bgr, rgb;
        sw_buf buf = sw_buf_make(NULL, 0);
        CHECK_INT(sw_image_encode(&image.picture, format, 95, &sw_test_diag, &buf), SW_OK);
        CHECK_INT(decode(&buf, &bgr), SW_OK);
        CHECK_INT(sw_image_decode_as(buf.data, buf.size, "it", SW_PIXELS_RGB, NULL, &sw_test_diag, &rgb), SW_OK);
        CHECK_INT(rgb.picture.order, SW_PIXELS_RGB);
        for (int y = 0; y < 24; y++)
            for (int x = 0; x < 40; x++)
                for (int c = 0; c < 3; c++) CHECK_INT(pixel(&rgb, x, y)[c], pixel(&bgr, x, y)[2 - c]);
        sw_image_destroy(&bgr);
        sw_image_destroy(&rgb);
        sw_buf_free(&buf);
    }
    sw_image_destroy(&image);
}

SW_TEST(image_measures_from_the_head) {
    sw_image image = gradient(40, 24);
    for (sw_image_format format = SW_IMAGE_JPEG; format <= SW_IMAGE_PNG; format++) {
        sw_buf buf = sw_buf_make(NULL, 0);
        int width = 0, height = 0;
        CHECK_INT(sw_image_encode(&image.picture, format, 95, &sw_test_diag, &buf), SW_OK);
        CHECK(sw_image_measure(buf.data, buf.size, &width, &height) && width == 40 && height == 24);
        for (size_t n = 0; n < buf.size; n++) (void)sw_image_measure(buf.data, n, &width, &height);
        CHECK(!sw_image_measure(buf.data, 16, &width, &height));
        sw_buf_free(&buf);
    }
    sw_image_destroy(&image);
}

SW_TEST(image_jpeg_is_turned_by_exif) {
    /* where the stored corners top left, top right, bottom left go: x and y, 1 meaning the far end */
    static const int corners[9][6] = {
        [1] = {0, 0, 1, 0, 0, 1}, [2] = {1, 0, 0, 0, 1, 1}, [3] = {1, 1, 0, 1, 1, 0}, [4] = {0, 1, 1, 1, 0, 0},
        [5] = {0, 0, 0, 1, 1, 0}, [6] = {1, 0, 1, 1, 0, 0}, [7] = {1, 1, 1, 0, 0, 1}, [8] = {0, 1, 0, 0, 1, 1}};
    sw_image image = gradient(40, 24);
    sw_buf plain = sw_buf_make(NULL, 0);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, 100, &sw_test_diag, &plain), SW_OK);
    for (int orientation = 0; orientation <= 9; orientation++) {
        sw_buf buf = jpeg_with_exif(&plain, orientation & 1, orientation);
        sw_image back;
        CHECK_INT(decode(&buf, &back), SW_OK);
        bool known = orientation >= 1 && orientation <= 8, swapped = known && orientation >= 5;
        int width = swapped ? 24 : 40, height = swapped ? 40 : 24;
        CHECK_INT(back.picture.width, width);
        CHECK_INT(back.picture.height, height);
        int measured[2] = {0, 0};
        CHECK(sw_image_measure(buf.data, buf.size, &measured[0], &measured[1]));
        CHECK(measured[0] == width && measured[1] == height);
        const int *c = corners[known ? orientation : 1];
        static const int stored[3][2] = {{0, 0}, {39, 0}, {0, 23}};
        for (int i = 0; i < 3; i++) {
            const uint8_t *p = pixel(&image, stored[i][0], stored[i][1]);
            check_pixel(&back, c[2 * i] * (width - 1), c[2 * i + 1] * (height - 1), p[0], p[1], p[2], 4);
        }
        sw_image_destroy(&back);
        sw_buf_free(&buf);
    }
    sw_buf_free(&plain);
    sw_image_destroy(&image);
}

SW_TEST(image_exif_reader_is_bounded) {
    sw_buf buf = sw_buf_make(NULL, 0);
    put_exif(&buf, false, 6);
    CHECK_INT(sw__exif_orientation(buf.data, buf.size), 6);
    CHECK_INT(sw__exif_orientation(buf.data, 20), 6); /* the value is there, what follows is not */
    for (size_t size = 0; size < 20; size++) CHECK_INT(sw__exif_orientation(buf.data, size), 1);
    buf.data[7] = 0xff; /* the directory lies outside */
    CHECK_INT(sw__exif_orientation(buf.data, buf.size), 1);
    buf.data[4] = 0xff;
    CHECK_INT(sw__exif_orientation(buf.data, buf.size), 1);
    sw_buf_free(&buf);
}

SW_TEST(image_jpeg_colour_spaces) {
    static const struct {
        jpeg_kind kind;
        int want;
    } cases[] = {
        {{.space = JCS_GRAYSCALE, .components = 1, .width = 9, .height = 5, .sample = 77}, 77},
        {{.space = JCS_RGB, .components = 3, .width = 9, .height = 5, .sample = 200}, 200},
        {{.space = JCS_RGB, .components = 3, .width = 90, .height = 50, .sample = 31, .progressive = true}, 31},
        /* k - ((255 - c) * k >> 8) with c = k = 100 */
        {{.space = JCS_CMYK, .components = 4, .width = 9, .height = 5, .sample = 100}, 40},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        sw_buf buf = flat_jpeg(cases[i].kind);
        sw_image image;
        CHECK_INT(decode(&buf, &image), SW_OK);
        CHECK_INT(image.picture.width, cases[i].kind.width);
        check_pixel(&image, 0, 0, cases[i].want, cases[i].want, cases[i].want, 1);
        check_pixel(&image, 8, 4, cases[i].want, cases[i].want, cases[i].want, 1);
        sw_image_destroy(&image);
        sw_buf_free(&buf);
    }
}

static size_t find_marker(const sw_buf *buf, uint8_t marker) {
    for (size_t i = 0; i + 1 < buf->size; i++)
        if (buf->data[i] == 0xff && buf->data[i + 1] == marker) return i;
    return buf->size;
}

SW_TEST(image_jpeg_cut_short) {
    sw_image image = gradient(64, 64), back;
    for (int y = 0; y < 64; y++) /* noise, so that every row has its bytes */
        for (int x = 0; x < 64; x++) image.picture.data[y * (int)image.picture.pitch + x * 3] = (uint8_t)(x * y * 37);
    sw_buf buf = sw_buf_make(NULL, 0);
    CHECK_INT(sw_image_encode(&image.picture, SW_IMAGE_JPEG, 95, &sw_test_diag, &buf), SW_OK);
    size_t data = find_marker(&buf, 0xda) + 14;
    check_refused(buf.data, data / 2, SW_E_INPUT, "it: cannot decode this JPEG: it ends inside its header");
    check_refused(buf.data, data + 10, SW_E_INPUT,
                  "it: cannot decode this JPEG: it ends before the first row of the picture");
    CHECK_INT(sw_image_decode(buf.data, buf.size - 2, "it", NULL, &sw_test_diag, &back), SW_OK);
    sw_image_destroy(&back);
    CHECK_INT(sw_image_decode(buf.data, buf.size * 2 / 3, "it", NULL, &sw_test_diag, &back), SW_OK);
    CHECK(strstr(sw_test_message(), "it: damaged JPEG, decoded as far as possible (near row ") == sw_test_message());
    check_pixel(&back, 63, 2, pixel(&image, 63, 2)[0], pixel(&image, 63, 2)[1], 128, 24);
    for (int i = 1; i < 3; i++) CHECK_INT(pixel(&back, 63, 63)[i], pixel(&back, 62, 63)[i]); /* nothing came: flat */
    sw_image_destroy(&back);
    sw_image_destroy(&image);
    sw_buf_free(&buf);
}

SW_TEST(image_jpeg_limits) {
    sw_buf buf = flat_jpeg((jpeg_kind){.space = JCS_RGB, .components = 3, .width = 32, .height = 32, .sample = 9});
    size_t frame = find_marker(&buf, 0xc0);
    uint8_t *size = buf.data + frame + 5;
    memcpy(size, (uint8_t[]){60000 >> 8, 60000 & 255, 60000 >> 8, 60000 & 255}, 4);
    check_refused(
        buf.data, buf.size, SW_E_LIMIT,
        "it: the picture is too large: 60000 x 60000, while at most 268435456 pixels and 65535 a side are taken "
        "(scale it down first)");
    memcpy(size, (uint8_t[]){0xff, 0xff, 0, 8}, 4);
    check_refused(buf.data, buf.size, SW_E_LIMIT,
                  "it: cannot decode this JPEG: Maximum supported image dimension is 65500 pixels");
    memcpy(size, (uint8_t[]){0, 0, 0, 8}, 4);
    check_refused(buf.data, buf.size, SW_E_INPUT, "it: cannot decode this JPEG: Empty JPEG image (DNL not supported)");
    memcpy(size, (uint8_t[]){0, 8, 0, 8}, 4);
    buf.data[frame + 4] = 12;
    check_refused(buf.data, buf.size, SW_E_INPUT, "it: cannot decode this JPEG: Unsupported JPEG data precision 12");
    sw_buf_free(&buf);
    /* a progressive one needs memory for its coefficients too: 6 bytes a pixel beside the 3 */
    buf = flat_jpeg(
        (jpeg_kind){.space = JCS_RGB, .components = 3, .width = 32, .height = 32, .sample = 9, .progressive = true});
    memcpy(buf.data + find_marker(&buf, 0xc2) + 5, (uint8_t[]){12000 >> 8, 12000 & 255, 20000 >> 8, 20000 & 255}, 4);
    check_refused(buf.data, buf.size, SW_E_LIMIT,
                  "it: decoding the picture (20000 x 12000) needs 1373 MiB, while at most 896 MiB are taken (scale it "
                  "down first, or save it as a baseline JPEG)");
    sw_buf_free(&buf);
}

SW_TEST(image_jpeg_many_scans) {
    sw_buf buf = flat_jpeg((jpeg_kind){
        .space = JCS_GRAYSCALE, .components = 1, .width = 8, .height = 8, .sample = 9, .progressive = true});
    sw_buf bomb = sw_buf_make(NULL, 0);
    size_t scan = find_marker(&buf, 0xda);
    sw_buf_append(&bomb, buf.data, buf.size - 2);
    for (int i = 0; i < 600; i++) sw_buf_append(&bomb, buf.data + scan, buf.size - 2 - scan);
    sw_buf_append(&bomb, "\xff\xd9", 2);
    check_refused(bomb.data, bomb.size, SW_E_LIMIT, "it: cannot decode this JPEG: it has more than 500 scans");
    sw_buf_free(&bomb);
    sw_buf_free(&buf);
}

/* -- PNG */

SW_TEST(image_png_kinds) {
    /* two rows of three pixels each; the last pixel of the second row is looked at */
    static const struct {
        png_kind kind;
        size_t row_bytes;
        uint8_t rows[48];
        int b, g, r;
    } cases[] = {
        {{PNG_COLOR_TYPE_GRAY, 1, 3, 2}, 1, {0x00, 0x20}, 255, 255, 255},
        {{PNG_COLOR_TYPE_GRAY, 2, 3, 2}, 1, {0x00, 0x04}, 85, 85, 85},
        {{PNG_COLOR_TYPE_GRAY, 4, 3, 2}, 2, {0, 0, 0, 0x30}, 51, 51, 51},
        {{PNG_COLOR_TYPE_GRAY, 8, 3, 2}, 3, {1, 2, 3, 4, 5, 6}, 6, 6, 6},
        {{PNG_COLOR_TYPE_GRAY, 16, 3, 2}, 6, {[10] = 0x40, [11] = 0xff}, 0x40, 0x40, 0x40},
        {{PNG_COLOR_TYPE_PALETTE, 2, 3, 2}, 1, {0x00, 0x0c}, 9, 6, 3},
        {{PNG_COLOR_TYPE_GRAY_ALPHA, 8, 3, 2}, 6, {[10] = 70, [11] = 3}, 70, 70, 70},
        {{PNG_COLOR_TYPE_RGB, 8, 3, 2}, 9, {[15] = 10, [16] = 20, [17] = 30}, 30, 20, 10},
        {{PNG_COLOR_TYPE_RGB, 16, 3, 2}, 18, {[30] = 10, [31] = 200, [32] = 20, [34] = 30}, 30, 20, 10},
        {{PNG_COLOR_TYPE_RGB_ALPHA, 8, 3, 2}, 12, {[20] = 10, [21] = 20, [22] = 30, [23] = 0}, 30, 20, 10},
        {{PNG_COLOR_TYPE_RGB_ALPHA, 16, 3, 2}, 24, {[40] = 10, [42] = 20, [44] = 30, [46] = 0}, 30, 20, 10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            png_kind kind = cases[i].kind;
            kind.interlaced = interlaced;
            sw_buf buf = make_png(kind, cases[i].rows, cases[i].row_bytes);
            sw_image image;
            CHECK_INT(decode(&buf, &image), SW_OK);
            CHECK_INT(image.picture.width, 3);
            CHECK_INT(image.picture.height, 2);
            check_pixel(&image, 2, 1, cases[i].b, cases[i].g, cases[i].r, 0);
            sw_image_destroy(&image);
            sw_buf_free(&buf);
        }
}

SW_TEST(image_png_is_turned_by_exif) {
    sw_buf buf = make_png((png_kind){PNG_COLOR_TYPE_GRAY, 8, 3, 2, .orientation = 6}, (uint8_t[]){1, 2, 3, 4, 5, 6}, 3);
    sw_image image;
    CHECK_INT(decode(&buf, &image), SW_OK);
    CHECK_INT(image.picture.width, 2);
    CHECK_INT(image.picture.height, 3);
    static const int want[] = {4, 1, 5, 2, 6, 3};
    for (int i = 0; i < 6; i++) check_pixel(&image, i % 2, i / 2, want[i], want[i], want[i], 0);
    sw_image_destroy(&image);
    sw_buf_free(&buf);
}

SW_TEST(image_png_broken) {
    uint8_t rows[64];
    for (int i = 0; i < 64; i++) rows[i] = (uint8_t)(i * i * 31);
    sw_buf buf = make_png((png_kind){PNG_COLOR_TYPE_GRAY, 8, 8, 8}, rows, 8);
    sw_image image;
    enum { END_CHUNK = 12 };
    CHECK_INT(sw_image_decode(buf.data, buf.size - END_CHUNK, "it", NULL, &sw_test_diag, &image), SW_OK);
    CHECK_STR(sw_test_message(), "it: damaged PNG: all rows came, but then: it is cut short");
    check_pixel(&image, 7, 7, rows[63], rows[63], rows[63], 0);
    sw_image_destroy(&image);
    check_refused(buf.data, buf.size / 2, SW_E_INPUT, "it: cannot decode this PNG: it is cut short");
    check_refused(buf.data, 20, SW_E_INPUT, "it: cannot decode this PNG: it is cut short");
    buf.data[buf.size - END_CHUNK - 1] ^= 1;
    check_refused(buf.data, buf.size, SW_E_INPUT, "it: cannot decode this PNG: IDAT: CRC error");
    sw_buf_free(&buf);
}

/* The start of an 8-bit RGB file: signature, IHDR, an empty IDAT. */
enum { PNG_HEAD = 45 };

static void put_png_head(uint8_t *file, uint32_t width, uint32_t height) {
    memcpy(file, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
    memcpy(file + 24, (uint8_t[]){8, PNG_COLOR_TYPE_RGB, 0, 0, 0}, 5);
    uint32_t crc = 0xffffffff;
    for (int i = 0; i < 4; i++) {
        file[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        file[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    for (int i = 12; i < 29; i++) {
        crc ^= file[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    for (int i = 0; i < 4; i++) file[29 + i] = (uint8_t)(~crc >> (24 - 8 * i));
    memcpy(file + 33, "\0\0\0\0IDAT\x35\xaf\x06\x1e", 12);
}

SW_TEST(image_png_limits) {
    sw_buf buf = make_png((png_kind){PNG_COLOR_TYPE_GRAY, 8, 1, 1}, (uint8_t[]){1}, 1);
    memcpy(buf.data + 16, (uint8_t[]){0, 1, 0, 0, 0, 0, 0, 1}, 8);
    check_refused(buf.data, buf.size, SW_E_LIMIT,
                  "it: the picture is too large: 65536 x 1, while at most 268435456 pixels and 65535 a side are taken "
                  "(scale it down first)");
    memset(buf.data + 16, 0xff, 8);
    check_refused(buf.data, buf.size, SW_E_LIMIT,
                  "it: the picture is too large: 4294967295 x 4294967295, while at most 268435456 pixels and 65535 a "
                  "side are taken (scale it down first)");
    sw_buf_free(&buf);
    /* with a checksum that is right: too many pixels; and pixels that cannot all be in so small a file */
    uint8_t file[PNG_HEAD];
    put_png_head(file, 60000, 60000);
    check_refused(file, sizeof file, SW_E_LIMIT,
                  "it: the picture is too large: 60000 x 60000, while at most 268435456 pixels and 65535 a side are "
                  "taken (scale it down first)");
    put_png_head(file, 16384, 16384);
    check_refused(
        file, sizeof file, SW_E_LIMIT,
        "it: cannot decode this PNG: its rows would unpack to more than 512 MiB and 200 times the file's size");
}

/* -- Everything else */

SW_TEST(image_other_formats_are_named) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {"RIFF\x10\0\0\0WEBPVP8 ", 16, "it: is a WebP picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"GIF89a", 6, "it: is a GIF picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"BM\x10\0\0\0", 6, "it: is a BMP picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"II*\0\x08\0\0\0", 8, "it: is a TIFF picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"MM\0*\0\0\0\x08", 8, "it: is a TIFF picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"\0\0\0\x1c"
         "ftypavif",
         12, "it: is an AVIF picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"\0\0\0\x1c"
         "ftypheic",
         12, "it: is a HEIC picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"\0\0\0\x1c"
         "ftypisom",
         12, "it: is an MP4 video, which is not supported yet (save its frames as JPEG or PNG)"},
        {"\0\0\0\x0cjP  \r\n\x87\n", 12,
         "it: is a JPEG 2000 picture, which is not supported yet (convert it to JPEG or PNG)"},
        {"%PDF-1.7", 8, "it: is not a picture but a PDF file (JPEG and PNG pictures are read)"},
        {"<html>", 6, "it: is not a picture but an HTML file (JPEG and PNG pictures are read)"},
        {"hello", 5,
         "it: is not a picture that Slipway knows (it begins with 68 65 6c 6c) (JPEG and PNG pictures are read)"},
        {"\xff\xd8", 2,
         "it: is not a picture that Slipway knows (it begins with ff d8) (JPEG and PNG pictures are read)"},
        {"", 0, "it: is empty"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_refused(cases[i].bytes, cases[i].size, SW_E_INPUT, cases[i].message);
}

SW_TEST(image_format_of_name) {
    CHECK_INT(sw_image_format_of_name("a/b.jpg"), SW_IMAGE_JPEG);
    CHECK_INT(sw_image_format_of_name("B.JPEG"), SW_IMAGE_JPEG);
    CHECK_INT(sw_image_format_of_name("x.Png"), SW_IMAGE_PNG);
    CHECK_INT(sw_image_format_of_name("x.png.txt"), SW_IMAGE_NONE);
    CHECK_INT(sw_image_format_of_name("png"), SW_IMAGE_NONE);
    CHECK_INT(sw_image_format_of_name(""), SW_IMAGE_NONE);
    CHECK_STR(sw_image_sniff("\xff\xd8\xff\xe0", 4), "JPEG");
    CHECK_STR(sw_image_sniff("\x89PNG\r\n\x1a\n", 8), "PNG");
    CHECK(sw_image_sniff("\x89PNG\r\n\x1a\n", 7) == NULL);
    CHECK_STR(sw_image_sniff("GIF89a", 6), "GIF");
    CHECK(sw_image_sniff("PK\3\4", 4) == NULL); /* a .pt model is one of these */
}

SW_TEST(image_save_and_load) {
    char folder[] = "/tmp/slipway-test-XXXXXX", path[64];
    if (!mkdtemp(folder)) return sw_test_skip("no temporary folder");
    sw_image image = gradient(20, 10), back;
    static const char *const names[] = {"a.png", "a.JPG"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        CHECK_INT(sw_image_save(path, &image.picture, SW_IMAGE_QUALITY, &sw_test_diag), SW_OK);
        CHECK_INT(sw_image_load(path, NULL, &sw_test_diag, &back), SW_OK);
        const uint8_t *p = pixel(&image, 13, 7);
        check_pixel(&back, 13, 7, p[0], p[1], p[2], 6);
        sw_image_destroy(&back);
        remove(path);
    }
    snprintf(path, sizeof path, "%s/a.gif", folder);
    CHECK_INT(sw_image_save(path, &image.picture, 90, &sw_test_diag), SW_E_USAGE);
    CHECK(strstr(sw_test_message(), "give a name that ends in .jpg or .png") != NULL);
    snprintf(path, sizeof path, "%s/none/a.png", folder);
    CHECK_INT(sw_image_save(path, &image.picture, 90, &sw_test_diag), SW_E_IO);
    CHECK_INT(sw_image_load(path, NULL, &sw_test_diag, &back), SW_E_IO);
    CHECK(back.picture.data == NULL);
    CHECK_INT(remove(folder), 0); /* nothing was left behind */
    sw_image_destroy(&image);
}

/* An allocator that has nothing to give. */
static void *give_nothing(void *ctx, size_t size) {
    (void)ctx, (void)size;
    return NULL;
}

static void take_nothing(void *ctx, void *block) {
    (void)ctx, (void)block;
}

SW_TEST(image_without_memory) {
    static const sw_allocator poor = {.alloc = give_nothing, .free = take_nothing};
    sw_image image = gradient(8, 8), back;
    static const sw_image_format formats[] = {SW_IMAGE_JPEG, SW_IMAGE_PNG};
    for (size_t i = 0; i < 2; i++) {
        sw_buf buf = sw_buf_make(NULL, 0), full = sw_buf_make(&poor, 0);
        CHECK_INT(sw_image_encode(&image.picture, formats[i], 90, &sw_test_diag, &buf), SW_OK);
        CHECK_INT(sw_image_decode(buf.data, buf.size, "it", &poor, &sw_test_diag, &back), SW_E_NOMEM);
        CHECK_STR(sw_test_message(), "it: not enough memory for 8 x 8 pixels");
        CHECK_INT(sw_image_encode(&image.picture, formats[i], 90, &sw_test_diag, &full), SW_E_NOMEM);
        sw_buf_free(&buf);
    }
    sw_image_destroy(&image);
    sw_image_destroy(NULL);
}
