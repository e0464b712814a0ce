#include "base/npy.h"

#include "base/test_memory.h"
#include "unit.h"

/* A version 1 file with this header and these bytes. */
static sw_buf file(const char *header, const void *data, size_t size) {
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_buf_append(&buf, "\x93NUMPY\x01\0", 8);
    sw_buf_append_byte(&buf, (uint8_t)strlen(header));
    sw_buf_append_byte(&buf, (uint8_t)(strlen(header) >> 8));
    sw_buf_append_text(&buf, header);
    sw_buf_append(&buf, data, size);
    return buf;
}

static sw_status parse(const char *header, const void *data, size_t size, sw_tensor *t) {
    sw_buf buf = file(header, data, size);
    sw_status status = sw_npy_parse(buf.data, buf.size, "x.npy", NULL, &sw_test_diag, t);
    sw_buf_free(&buf);
    return status;
}

SW_TEST(npy_reads_what_numpy_writes) {
    const uint16_t six[6] = {1, 2, 3, 4, 5, 6};
    sw_tensor t;
    CHECK_INT(parse("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }          \n", six, sizeof six, &t),
              SW_OK);
    CHECK(t.dtype == SW_U16 && t.rank == 2 && t.dims[0] == 2 && t.dims[1] == 3);
    CHECK_INT(memcmp(t.data, six, sizeof six), 0);
    sw_free(NULL, t.data);

    CHECK_INT(parse("{\"shape\":(6,),\"fortran_order\":True,\"descr\":\"<i2\"}", six, sizeof six, &t), SW_OK);
    CHECK(t.dtype == SW_I16 && t.rank == 1 && t.dims[0] == 6);
    sw_free(NULL, t.data);

    CHECK_INT(parse("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", "\x02", 1, &t), SW_OK);
    CHECK(t.dtype == SW_BOOL && t.rank == 0 && *(uint8_t *)t.data == 1);
    sw_free(NULL, t.data);

    CHECK_INT(parse("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }", "", 0, &t), SW_OK);
    CHECK(t.dims[0] == 0 && t.data != NULL);
    sw_free(NULL, t.data);
}

/* numpy.asfortranarray(numpy.arange(24, dtype='u1').reshape(2, 3, 4)): element [i,j,k] lies at i + 2 j + 6 k. */
SW_TEST(npy_turns_fortran_order) {
    uint8_t data[24];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) data[i + 2 * j + 6 * k] = (uint8_t)(12 * i + 4 * j + k);
    sw_tensor t;
    CHECK_INT(parse("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }", data, 24, &t), SW_OK);
    int wrong = 0;
    for (int i = 0; i < 24; i++) wrong += ((uint8_t *)t.data)[i] != i;
    CHECK_INT(wrong, 0);
    sw_free(NULL, t.data);
}

SW_TEST(npy_versions) {
    const char *header = "{'descr': '|i1', 'fortran_order': False, 'shape': (1,), }";
    for (int version = 0; version <= 4; version++) {
        sw_buf buf = sw_buf_make(NULL, 0);
        sw_buf_append(&buf, "\x93NUMPY", 6);
        sw_buf_append(&buf, (uint8_t[]){(uint8_t)version, 0, (uint8_t)strlen(header), 0}, 4);
        if (version > 1) sw_buf_fill(&buf, 0, 2);
        sw_buf_append_text(&buf, header);
        sw_buf_append_byte(&buf, 0xfb);
        sw_tensor t;
        bool good = version >= 1 && version <= 3;
        CHECK_INT(sw_npy_parse(buf.data, buf.size, "v", NULL, NULL, &t), good ? SW_OK : SW_E_UNSUPPORTED);
        if (good) CHECK_INT(*(int8_t *)t.data, -5);
        sw_free(NULL, t.data);
        sw_buf_free(&buf);
    }
}

SW_TEST(npy_refuses_by_sentence) {
    static const struct {
        const char *header, *message;
        sw_status status;
    } rows[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
         "big-endian array of type '>f4' is not supported", SW_E_UNSUPPORTED},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,), }", "array of type '<U5' is not supported",
         SW_E_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "array of type '|O' is not supported",
         SW_E_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "array of type '<c8' is not supported",
         SW_E_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
         "arrays of structures are not supported", SW_E_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "more than 8 dimensions",
         SW_E_LIMIT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }",
         "the array needs 16 bytes, but the file holds only 8", SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3), }", "too large to be true",
         SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", "expected a dimension",
         SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "expected a dimension", SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", "expected , or ) in the shape", SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': None, 'shape': (1,), }", "neither True nor False", SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, }", "is missing", SW_E_INPUT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "there twice", SW_E_INPUT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "more after the closing }", SW_E_INPUT},
        {"{'descr': '<f4", "a quote is not closed", SW_E_INPUT},
        {"{'descr' '<f4'}", "expected : after a key", SW_E_INPUT},
        {"{", "expected a word in quotes", SW_E_INPUT},
        {"", "expected {", SW_E_INPUT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sw_tensor t;
        CHECK_INT(parse(rows[i].header, "12345678", 8, &t), rows[i].status);
        if (!strstr(sw_test_message(), rows[i].message))
            sw_test_fail(__FILE__, __LINE__, "row %zu says \"%s\"", i, sw_test_message());
        CHECK(t.data == NULL);
    }
    sw_tensor t;
    CHECK_INT(sw_npy_parse("PK\3\004567890", 10, "x.npz", NULL, &sw_test_diag, &t), SW_E_INPUT);
    CHECK_STR(sw_test_message(), "x.npz: this is no .npy file (write one with numpy.save)");
    CHECK_INT(sw_npy_parse("", 0, "x", NULL, NULL, &t), SW_E_INPUT);
}

/* Every beginning of a good file is refused, and reads nothing behind it (the sanitizer looks on). */
SW_TEST(npy_cut_anywhere) {
    sw_buf whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678", 8);
    for (size_t size = 0; size < whole.size; size++) {
        uint8_t *part = malloc(size ? size : 1);
        memcpy(part, whole.data, size);
        sw_tensor t;
        CHECK_INT(sw_npy_parse(part, size, "cut", NULL, NULL, &t), SW_E_INPUT);
        free(part);
    }
    sw_buf_free(&whole);
}

SW_TEST(npy_writes_what_it_reads) {
    static const int64_t shapes[][3] = {{2, 3, 4}, {1, 1, 1}, {0, 2, 2}};
    for (int dtype = SW_DTYPE_NONE + 1; dtype < SW_BF16; dtype++)
        for (int s = 0; s < 3; s++)
            for (int rank = 0; rank <= 3; rank++) {
                uint8_t data[24 * 8];
                for (int i = 0; i < (int)sizeof data; i++) data[i] = dtype == SW_BOOL ? i & 1 : (uint8_t)(i * 7);
                sw_tensor t = {.dtype = (sw_dtype)dtype, .rank = rank, .data = data}, back;
                for (int i = 0; i < rank; i++) t.dims[i] = shapes[s][i];
                sw_buf buf = sw_buf_make(NULL, 0);
                sw_npy_format(&t, &buf);
                CHECK_INT((buf.size - (size_t)sw_tensor_bytes(&t)) % 64, 0);
                CHECK_INT(sw_npy_parse(buf.data, buf.size, "back", NULL, &sw_test_diag, &back), SW_OK);
                CHECK(back.dtype == t.dtype && back.rank == t.rank && !memcmp(back.dims, t.dims, sizeof t.dims));
                CHECK_INT(memcmp(back.data, data, (size_t)sw_tensor_bytes(&t)), 0);
                sw_free(NULL, back.data);
                sw_buf_free(&buf);
            }
}

SW_TEST(npy_writes_bfloat16_as_float32) {
    uint16_t data[2] = {0x3fc0, 0xc000};
    sw_tensor t = {.dtype = SW_BF16, .rank = 1, .dims = {2}, .data = data}, back;
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_npy_format(&t, &buf);
    CHECK(strstr((const char *)buf.data + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }") != NULL);
    CHECK_INT(sw_npy_parse(buf.data, buf.size, "back", NULL, &sw_test_diag, &back), SW_OK);
    CHECK(back.dtype == SW_F32 && ((float *)back.data)[0] == 1.5f && ((float *)back.data)[1] == -2.0f);
    sw_free(NULL, back.data);
    sw_buf_free(&buf);
}

SW_TEST(npy_survives_failing_allocations) {
    sw_buf whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678", 8);
    test_memory m = {.fail_at = 1};
    sw_allocator a = test_memory_allocator(&m);
    sw_tensor t;
    CHECK_INT(sw_npy_parse(whole.data, whole.size, "x.npy", &a, &sw_test_diag, &t), SW_E_NOMEM);
    CHECK_STR(sw_test_message(), "x.npy: no memory for 8 bytes");
    CHECK(t.data == NULL && m.held == 0);
    CHECK_INT(sw_npy_parse(whole.data, whole.size, "x.npy", &a, &sw_test_diag, &t), SW_OK);
    CHECK_INT(m.calls, 2);
    sw_free(&a, t.data);
    CHECK_INT(m.held, 0);
    sw_buf_free(&whole);
}
