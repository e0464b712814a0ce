/* Pickles by hand: what is read, and hostile ones, each refused with its sentence. */
#include "import/pt/pickle.h"

#include <string.h>

#include "base/buf.h"
#include "unit.h"

#define BYTES(text) (text), sizeof(text) - 1

static sw_arena *arena;

static sw_status read_bytes(const char *bytes, size_t size, const sw_pickle **root) {
    arena = sw_arena_create(NULL, (size_t)64 << 20);
    return sw_pickle_read(bytes, size, "m.pt", arena, &sw_test_diag, root);
}

static void check_refused(const char *bytes, size_t size, sw_status status, const char *message) {
    const sw_pickle *root;
    CHECK_INT(read_bytes(bytes, size, &root), status);
    CHECK(!root);
    if (!strstr(sw_test_message(), message))
        sw_test_fail(__FILE__, __LINE__, "expected '%s' in: %s", message, sw_test_message());
    sw_arena_destroy(arena);
}

SW_TEST(pickle_reads_values) {
    const sw_pickle *root;
    CHECK_INT(read_bytes(BYTES("\x80\x02}q\x00(X\x01\x00\x00\x00"
                               "aK\x07U\x01"
                               "bJ\xff\xff\xff\xffX\x01\x00\x00\x00"
                               "c]q\x01(\x88NG\x3f\xf8\0\0\0\0\0\0eX\x01\x00\x00\x00"
                               "dM\x01\x02\x85X\x01\x00\x00\x00"
                               "eh\x01u."),
                         &root),
              SW_OK);
    CHECK_INT(root->type, SW_PICKLE_DICT);
    CHECK_INT(sw_pickle_get(root, "a")->number, 7);
    CHECK_INT(sw_pickle_get(root, "b")->number, -1);
    const sw_pickle *list = sw_pickle_get(root, "c");
    CHECK(list && list->type == SW_PICKLE_LIST && list->n_items == 3 && list == sw_pickle_get(root, "e"));
    CHECK(list->items[0]->type == SW_PICKLE_BOOL && list->items[0]->truth && list->items[0]->number == 1);
    CHECK(list->items[1]->type == SW_PICKLE_NONE && list->items[2]->real == 1.5);
    const sw_pickle *tuple = sw_pickle_get(root, "d");
    CHECK(tuple && tuple->type == SW_PICKLE_TUPLE && tuple->n_items == 1 && tuple->items[0]->number == 513);
    CHECK(!sw_pickle_get(root, "f") && !sw_pickle_get(NULL, "a"));
    sw_arena_destroy(arena);
}

SW_TEST(pickle_objects_are_records) {
    const sw_pickle *root;
    CHECK_INT(read_bytes(BYTES("\x80\x02"
                               "ctorch.nn.modules.conv\nConv2d\n)\x81}X\x01\x00\x00\x00pK\x03sb."),
                         &root),
              SW_OK);
    CHECK(sw_pickle_is(root, "torch.nn.modules.conv.Conv2d"));
    CHECK_INT(root->type, SW_PICKLE_OBJECT);
    CHECK_INT(root->args->n_items, 0);
    CHECK_INT(sw_pickle_get(root, "p")->number, 3);
    sw_arena_destroy(arena);
}

SW_TEST(pickle_refuses_code) {
    static const struct {
        const char *bytes, *name;
    } cases[] = {
        {"\x80\x02"
         "cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
         "'os.system'"},
        {"\x80\x02"
         "cposix\nsystem\n.",
         "'posix.system'"},
        {"\x80\x02"
         "c__builtin__\neval\n.",
         "'__builtin__.eval'"},
        {"\x80\x02"
         "cbuiltins\nexec\n.",
         "'builtins.exec'"},
        {"\x80\x02"
         "cbuiltins\ngetattr\nctorch\nSize\n)RU\x06system\x86R.",
         "'builtins.getattr'"},
        {"\x80\x02"
         "cbuiltins\nset.__class__.__subclasses__\n.",
         "'builtins.set.__class__.__subclasses__'"},
        {"\x80\x02"
         "csubprocess\nPopen\n.",
         "'subprocess.Popen'"},
        {"\x80\x02"
         "ctorch.nn.modules.module\nModule.forward.__globals__\n.",
         "Module.forward.__globals__'"},
        {"\x80\x02"
         "ctorch.nn\n__builtins__\n.",
         "'torch.nn.__builtins__'"},
        {"\x80\x02"
         "crunpy\nrun_path\n.",
         "'runpy.run_path'"},
        {"\x80\x02"
         "ctorch.hub\nload\n.",
         "'torch.hub.load'"},
        {"\x80\x02"
         "cnumpy.testing._private.utils\nruncode\n.",
         "runcode'"},
        {"\x80\x02"
         "cbdb\nBdb\n.",
         "'bdb.Bdb'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(cases[i].bytes, strlen(cases[i].bytes), SW_E_MODEL, "tries to run code");
        check_refused(cases[i].bytes, strlen(cases[i].bytes), SW_E_MODEL, cases[i].name);
    }
}

/* Fused modules carry getattr(module, "forward_fuse"). */
SW_TEST(pickle_reads_forward_of_fused_modules) {
    const sw_pickle *root;
    CHECK_INT(read_bytes(BYTES("\x80\x02"
                               "c__builtin__\ngetattr\nctorch.nn\nConv2d\n)\x81U\x0c"
                               "forward_fuse\x86R."),
                         &root),
              SW_OK);
    CHECK(sw_pickle_is(root, "__builtin__.getattr"));
    sw_arena_destroy(arena);
}

SW_TEST(pickle_names_what_it_does_not_know) {
    check_refused(BYTES("\x80\x02"
                        "cmy.models_of_mine\nNet\n."),
                  SW_E_UNSUPPORTED, "'my.models_of_mine.Net', a class that Slipway does not know");
    check_refused(BYTES("\x80\x02"
                        "cdill._dill\n_create_code\n."),
                  SW_E_UNSUPPORTED, "written with dill");
}

SW_TEST(pickle_refuses_opcodes_that_torch_does_not_write) {
    /* STACK_GLOBAL, INST, OBJ, NEWOBJ_EX, EXT1, INT as text, FRAME, BYTEARRAY8 */
    static const char *const ops[] = {"\x93", "i", "o", "\x92", "\x82\x01", "I1\n", "\x95", "\x96"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        char bytes[32] = "\x80\x02";
        strncat(bytes, ops[i], 8);
        check_refused(bytes, strlen(bytes), SW_E_UNSUPPORTED, "which torch.save does not write");
    }
}

SW_TEST(pickle_refuses_calls_of_results) {
    /* What a call returned is called again, as nested __reduce__ tricks do. */
    check_refused(BYTES("\x80\x02"
                        "ccollections\nOrderedDict\n)R)R."),
                  SW_E_MODEL, "it calls what is no class");
    check_refused(BYTES("\x80\x02K\x01)R."), SW_E_MODEL, "it calls what is no class");
    check_refused(BYTES("\x80\x02]}b."), SW_E_MODEL, "it gives a state to what is no object");
}

SW_TEST(pickle_bounds_everything) {
    check_refused(BYTES("\x80\x02Nr\xff\xff\xff\x7f."), SW_E_MODEL, "number that is out of range"); /* memo bomb */
    check_refused(BYTES("\x80\x02j\x05\0\0\0."), SW_E_MODEL, "recalls what it never remembered");
    check_refused(BYTES("\x80\x02X\xff\xff\xff\xff"), SW_E_MODEL, "a string reaches past the end");
    check_refused(BYTES("\x80\x02t."), SW_E_MODEL, "a mark that is not there");
    check_refused(BYTES("\x80\x02."), SW_E_MODEL, "more from the stack");
    check_refused(BYTES("\x80\x02NN."), SW_E_MODEL, "values left on the stack");
    check_refused(BYTES("\x80\x02}K\x01s."), SW_E_MODEL, "more from the stack");
    check_refused(BYTES("\x80\x02"
                        "ctorch\nFloatStorage"),
                  SW_E_MODEL, "a name has no end");
    check_refused(BYTES("\x80\x09N."), SW_E_UNSUPPORTED, "protocol 9");
    check_refused(BYTES("\x80\x02"), SW_E_MODEL, "ends too early");
    sw_buf deep = sw_buf_make(NULL, 0);
    sw_buf_fill(&deep, '(', 5000);
    check_refused((char *)deep.data, deep.size, SW_E_MODEL, "nests too deep");
    sw_buf_clear(&deep);
    sw_buf_fill(&deep, 'N', 300000);
    check_refused((char *)deep.data, deep.size, SW_E_MODEL, "stack grows too deep");
    sw_buf_free(&deep);
}

SW_TEST(pickle_values_may_contain_themselves) {
    const sw_pickle *root;
    CHECK_INT(read_bytes(BYTES("\x80\x02]q\0h\0a."), &root), SW_OK);
    CHECK(root && root->n_items == 1 && root->items[0] == root);
    sw_arena_destroy(arena);
}
