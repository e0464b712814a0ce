/* slipway predict, and slipway detect, which is the same: what is in pictures. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "cli/names.h"
#include "cli/options.h"
#include "cli/results.h"
#include "cli/shapes.h"
#include "cli/sources.h"
#include "cli/verb.h"
#include "media/draw.h"
#include "slipway/build.h"

enum { PATH_BYTES = 4096, MOST_CLASSES = 65536, JSON_INDENT = 2 };

static const char sample_model[] = "person.onnx";

/* Everything of one run. */
typedef struct job {
    const sw_args *args;
    sw_console *console;
    const sw_diag *diag;
    sw_detector *detector;
    int imgsz[2];
    sw_sources sources;

    const char *picture_file, *picture_folder, *txt_folder; /* where results go; NULL: nowhere */
    const char *json, *csv;                                 /* paths; "-": standard output */
    bool table;
    sw_buf json_buf, csv_buf;
    sw_json_writer json_writer;
    sw_taken picture_names, txt_names;

    size_t done;
    int64_t objects;
    sw_detector_times times; /* sums */
    double decode_ms;
    bool stop; /* results cannot be written: more pictures would not help */
} job;

static double ms_since(int64_t start) {
    return (double)(sw_clock_ns() - start) / 1e6;
}

static sw_status out_of_memory(const job *j) {
    return sw_fail(j->diag, SW_E_NOMEM, NULL, NULL, "out of memory");
}

/* -- The model ------------------------------------------------------------------------------------------------------- */

/* The project's sample model beside the program: in the source tree, or where it was installed. */
static const char *find_sample(sw_arena *arena) {
    static const char *const places[] = {"../models", "../share/slipway/models"};
    char program[PATH_BYTES];
    if (!sw_os_executable(program, sizeof program)) return NULL;
    int folder = (int)(sw_path_name(program) - program);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *path = sw_arena_printf(arena, "%.*s%s/%s", folder, program, places[i], sample_model);
        if (path && sw_path_kind_of(path) == SW_PATH_FILE) return path;
    }
    return NULL;
}

/* Takes the model off the operands; without one, the model of the environment or the sample. */
static sw_status choose_model(job *j, const char **model, int *first_source) {
    const sw_args *a = j->args;
    if (!a->n_operands)
        return sw_fail(j->diag, SW_E_USAGE, a->verb->name, "see --help",
                       "give pictures, or a model and pictures: [MODEL] SOURCE...");
    *first_source = !sw_source_is_pictures(a->operands[0]);
    if (*first_source) {
        *model = a->operands[0];
        if (a->n_operands > 1) return SW_OK;
        return sw_fail(j->diag, SW_E_USAGE, a->verb->name, "see --help",
                       "SOURCE is missing: the pictures in which '%s' shall find something", *model);
    }
    const char *variable = getenv("SLIPWAY_MODEL");
    *model = variable && variable[0] ? variable : find_sample(a->arena);
    if (!*model)
        return sw_fail(j->diag, SW_E_USAGE, a->verb->name, "name one before the pictures, or in SLIPWAY_MODEL",
                       "there is no model, and the sample model is not installed");
    sw_info(j->diag, NULL, "no model given: using %s", *model);
    return SW_OK;
}

/* -- Classes ---------------------------------------------------------------------------------------------------------- */

static sw_status find_class(const job *j, const sw_detector *d, const char *word, size_t length, int *class_id) {
    int64_t number;
    int n = sw_detector_classes(d);
    if (sw_str_to_i64(word, length, &number)) {
        *class_id = (int)number;
        if (number >= 0 && number < n) return SW_OK;
        return sw_fail(j->diag, SW_E_USAGE, NULL, NULL, "--classes: there is no class %.*s: the model has 0 to %d",
                       (int)length, word, n - 1);
    }
    const char **names = sw_calloc(NULL, (size_t)n + 1, sizeof *names);
    if (!names) return out_of_memory(j);
    char *text = sw_arena_strndup(j->args->arena, word, length);
    int found = -1;
    for (int i = 0; text && i < n; i++) {
        names[i] = sw_detector_class_name(d, i);
        if (found < 0 && !strcmp(names[i], text)) found = i;
    }
    sw_status status = text ? SW_OK : out_of_memory(j);
    if (status == SW_OK && found < 0) {
        const char *nearest = sw_str_nearest(text, names, (size_t)n);
        status = sw_fail(j->diag, SW_E_USAGE, NULL, NULL, "--classes: the model knows no '%s'%s%s%s", text,
                         nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    }
    sw_free(NULL, names);
    *class_id = found;
    return status;
}

/* "person,bus", "0,5": names and numbers, separated by commas. */
static sw_status read_classes(const job *j, const sw_detector *d, sw_detector_options *o) {
    sw_given given = sw_args_all(j->args, "classes");
    size_t most = 0;
    for (int i = 0; i < given.n; i++)
        for (const char *at = given.values[i]; at; at = strchr(at + 1, ',')) most++;
    if (most > MOST_CLASSES) return sw_fail(j->diag, SW_E_USAGE, NULL, NULL, "--classes: too many");
    int *classes = SW_ARENA_ARRAY(j->args->arena, int, most);
    if (!classes) return out_of_memory(j);
    for (int i = 0; i < given.n; i++) {
        for (const char *at = given.values[i];;) {
            size_t length = strcspn(at, ",");
            SW_TRY(find_class(j, d, at, length, &classes[o->n_classes++]));
            if (!at[length]) break;
            at += length + 1;
        }
    }
    o->classes = classes;
    return SW_OK;
}

static sw_status make_detector(job *j, sw_plan *plan) {
    sw_detector_options o;
    sw_detector_defaults(&o);
    o.conf = sw_args_given(j->args, "conf") ? sw_args_number(j->args, "conf") : -1;
    o.iou = sw_args_number(j->args, "iou");
    o.max_det = (int)sw_args_int(j->args, "max-det");
    memcpy(o.imgsz, j->imgsz, sizeof o.imgsz);
    o.head = sw_args_text(j->args, "head");
    o.polygons = sw_args_flag(j->args, "polygons") || sw_args_given(j->args, "txt");
    o.threads = (int)sw_args_int(j->args, "threads");
    o.device = sw_args_text(j->args, "device");
    o.no_fallback = sw_args_flag(j->args, "no-fallback");
    o.agnostic = sw_args_flag(j->args, "agnostic");
    SW_TRY(sw_detector_create(plan, &o, j->diag, &j->detector));
    if (!sw_args_given(j->args, "classes")) return SW_OK;
    /* Only the detector knows the names of classes, and it wants their numbers from the start: so it is made twice. */
    sw_status status = read_classes(j, j->detector, &o);
    sw_detector_destroy(j->detector);
    j->detector = NULL;
    return status == SW_OK ? sw_detector_create(plan, &o, j->diag, &j->detector) : status;
}

static sw_status load_model(job *j, const char *path) {
    sw_plan *plan;
    SW_TRY(sw_sides_parse(sw_args_text(j->args, "imgsz"), j->args->verb->name, j->diag, j->imgsz));
    j->console->subject = path;
    sw_build_options build = {.device = sw_args_text(j->args, "device"),
                              .strict = sw_args_flag(j->args, "strict"),
                              .trust_code = sw_args_flag(j->args, "trust-code")};
    SW_TRY(sw_plan_build_with(path, &build, j->diag, &plan));
    sw_status status = make_detector(j, plan);
    sw_plan_unref(plan);
    j->console->subject = NULL;
    return status;
}

/* -- Outputs ----------------------------------------------------------------------------------------------------------- */

/* -o: a file for one picture, if its name ends like one; else a folder. */
static sw_status prepare_pictures(job *j) {
    const char *output = sw_args_text(j->args, "output");
    if (!output) return SW_OK;
    bool folder = sw_str_ends_with(output, "/") || sw_path_kind_of(output) == SW_PATH_FOLDER;
    if (folder || sw_image_format_of_name(output) == SW_IMAGE_NONE) {
        j->picture_folder = output;
        return sw_dir_make(output, j->diag);
    }
    if (j->sources.n > 1)
        return sw_fail(j->diag, SW_E_USAGE, j->args->verb->name, "name a folder",
                       "-o '%s' is one picture, but there are %zu sources", output, j->sources.n);
    j->picture_file = output;
    return SW_OK;
}

static sw_status prepare_outputs(job *j) {
    j->json = sw_args_text(j->args, "json");
    j->csv = sw_args_text(j->args, "csv");
    j->txt_folder = sw_args_text(j->args, "txt");
    bool json_out = j->json && !strcmp(j->json, "-"), csv_out = j->csv && !strcmp(j->csv, "-");
    if (json_out && csv_out)
        return sw_fail(j->diag, SW_E_USAGE, j->args->verb->name, NULL,
                       "--json and --csv cannot both go to standard output");
    SW_TRY(prepare_pictures(j));
    if (j->txt_folder) SW_TRY(sw_dir_make(j->txt_folder, j->diag));
    j->table = !json_out && !csv_out && !j->console->quiet;
    j->json_writer = sw_json_writer_make(json_out ? &j->console->out : &j->json_buf, JSON_INDENT);
    if (j->json) sw_json_array(&j->json_writer);
    if (j->csv) sw_result_csv_heading(j->detector, csv_out ? &j->console->out : &j->csv_buf);
    return SW_OK;
}

/* Name without folder and ending. */
static const char *stem_of(const job *j, const char *source) {
    if (!strcmp(source, "-")) return "stdin";
    const char *name = sw_path_name(source), *dot = strrchr(name, '.');
    return sw_arena_strndup(j->args->arena, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

static const char *path_in(const job *j, const char *folder, sw_taken *names, const char *stem, const char *ending) {
    const char *name = stem ? sw_taken_add(names, stem, ending) : NULL;
    if (!name) return NULL;
    return sw_arena_printf(j->args->arena, "%s%s%s", folder, sw_str_ends_with(folder, "/") ? "" : "/", name);
}

static sw_status write_txt(job *j, const sw_result *r) {
    const char *path = path_in(j, j->txt_folder, &j->txt_names, stem_of(j, r->source), ".txt");
    if (!path) return out_of_memory(j);
    sw_buf buf = sw_buf_make(NULL, 0);
    sw_result_txt(r, &buf);
    sw_status status = buf.status == SW_OK ? sw_file_write(path, buf.data, buf.size, j->diag) : out_of_memory(j);
    sw_buf_free(&buf);
    return status;
}

static sw_status write_picture(job *j, const sw_result *r, const sw_picture *picture) {
    const char *path = j->picture_file;
    if (!path) {
        const char *dot = strrchr(sw_path_name(r->source), '.');
        bool known = dot && sw_image_format_of_name(r->source) != SW_IMAGE_NONE;
        path = path_in(j, j->picture_folder, &j->picture_names, stem_of(j, r->source), known ? dot : ".jpg");
    }
    if (!path) return out_of_memory(j);
    if (sw_path_same(path, r->source))
        return sw_fail(j->diag, SW_E_USAGE, r->source, "choose another folder or name for -o",
                       "the picture with boxes would overwrite its source");
    SW_TRY(sw_draw_found(picture, j->detector, r->found, j->diag));
    return sw_image_save(path, picture, SW_IMAGE_QUALITY, j->diag);
}

static sw_status write_results(job *j, const sw_result *r, const sw_picture *picture) {
    if (j->table) sw_result_table(r, j->console);
    if (j->json) sw_result_json(r, &j->json_writer);
    if (j->csv) sw_result_csv(r, !strcmp(j->csv, "-") ? &j->console->out : &j->csv_buf);
    if (j->txt_folder) SW_TRY(write_txt(j, r));
    if (j->picture_file || j->picture_folder) SW_TRY(write_picture(j, r, picture));
    return sw_console_flush(j->console);
}

static sw_status write_file(job *j, const char *path, const sw_buf *buf) {
    if (!path || !strcmp(path, "-")) return SW_OK;
    return buf->status == SW_OK ? sw_file_write(path, buf->data, buf->size, j->diag) : out_of_memory(j);
}

static sw_status finish_outputs(job *j) {
    if (j->json) {
        sw_json_array_end(&j->json_writer);
        sw_buf_append_byte(j->json_writer.buf, '\n');
    }
    sw_status json = write_file(j, j->json, &j->json_buf), csv = write_file(j, j->csv, &j->csv_buf);
    sw_status out = sw_console_flush(j->console);
    return json != SW_OK ? json : csv != SW_OK ? csv : out;
}

/* -- The run ----------------------------------------------------------------------------------------------------------- */

static sw_status predict_picture(job *j, const char *source, sw_image *image) {
    int64_t start = sw_clock_ns();
    SW_TRY(sw_source_load(source, j->diag, image));
    double decode_ms = ms_since(start);
    sw_detections found;
    SW_TRY(sw_detector_run(j->detector, &image->picture, &found));
    sw_result result = {.source = source,
                        .width = image->picture.width,
                        .height = image->picture.height,
                        .detector = j->detector,
                        .found = &found,
                        .decode_ms = decode_ms};
    j->done++;
    j->objects += found.count;
    j->decode_ms += decode_ms;
    j->times.preprocess += found.times_ms.preprocess;
    j->times.inference += found.times_ms.inference;
    j->times.postprocess += found.times_ms.postprocess;
    sw_console_progress_end(j->console);
    sw_status status = write_results(j, &result, &image->picture);
    j->stop = status != SW_OK;
    return status;
}

static void print_summary(const job *j) {
    if (!j->table || !j->done) return;
    double n = (double)j->done;
    if (sw_detector_task(j->detector) == SW_TASK_CLASSIFY)
        sw_print(j->console, "%zu picture%s. ", j->done, j->done == 1 ? "" : "s");
    else
        sw_print(j->console, "%zu picture%s, %lld object%s. ", j->done, j->done == 1 ? "" : "s", (long long)j->objects,
                 j->objects == 1 ? "" : "s");
    sw_print(j->console,
             "A picture: decode %.1f ms, preprocess %.1f, inference %.1f, "
             "postprocess %.1f\n",
             j->decode_ms / n, j->times.preprocess / n, j->times.inference / n, j->times.postprocess / n);
}

/* Does all pictures it can; the first failure gives the status. */
static sw_status predict_all(job *j) {
    sw_status first = j->sources.status;
    for (size_t i = 0; i < j->sources.n && !j->stop; i++) {
        const char *source = j->sources.paths[i];
        if (j->sources.n > 1) sw_console_progress(j->console, i, j->sources.n, source);
        j->console->subject = !strcmp(source, "-") ? "standard input" : source;
        sw_image image = {0};
        sw_status status = predict_picture(j, source, &image);
        if (first == SW_OK) first = status;
        sw_image_destroy(&image);
    }
    j->console->subject = NULL;
    sw_console_progress_end(j->console);
    print_summary(j);
    return first;
}

static sw_status run_job(job *j) {
    const char *model = NULL;
    int first_source = 0;
    SW_TRY(choose_model(j, &model, &first_source));
    SW_TRY(load_model(j, model));
    SW_TRY(sw_sources_collect(j->args->operands + first_source, j->args->n_operands - first_source, j->args->arena,
                              j->diag, &j->sources));
    SW_TRY(prepare_outputs(j));
    sw_status status = predict_all(j), written = finish_outputs(j);
    return status != SW_OK ? status : written;
}

static sw_status run(const sw_args *args, sw_console *console) {
    job j = {.args = args,
             .console = console,
             .diag = &console->diag,
             .json_buf = sw_buf_make(NULL, 0),
             .csv_buf = sw_buf_make(NULL, 0),
             .picture_names = {.arena = args->arena},
             .txt_names = {.arena = args->arena}};
    sw_status status = run_job(&j);
    sw_detector_destroy(j.detector);
    sw_taken_free(&j.picture_names);
    sw_taken_free(&j.txt_names);
    sw_buf_free(&j.json_buf);
    sw_buf_free(&j.csv_buf);
    return status;
}

static const sw_option options[] = {
    {.name = "output",
     .kind = SW_TEXT,
     .letter = 'o',
     .argument = "DIR|FILE",
     .help = "draw the results and write the pictures into a folder, or one picture into a file"},
    {.name = "json",
     .kind = SW_TEXT,
     .argument = "FILE|-",
     .help = "write all results as a JSON array; - is standard output"},
    {.name = "csv", .kind = SW_TEXT, .argument = "FILE|-", .help = "write all results as a table of commas"},
    {.name = "txt",
     .kind = SW_TEXT,
     .argument = "DIR",
     .help =
         "write a label file for each picture into a folder, in fractions of the picture: lines of class, centre x, centre y, "
         "width, height, keypoints, confidence; of masks class, outline, confidence; of rotated boxes class, four corners, "
         "confidence; of classes confidence, name"},
    {.name = "polygons", .help = "write the outlines of masks into the JSON, too"},
    {.name = "conf",
     .kind = SW_NUMBER,
     .argument = "X",
     .most = 1,
     .help = "drop boxes that are less sure (default: the model's own, else 0.25)"},
    {.name = "iou",
     .kind = SW_NUMBER,
     .argument = "X",
     .standard = "0.7",
     .most = 1,
     .help = "drop boxes that overlap a surer one of their class by more"},
    SW_IMGSZ_OPTION(SW_FIT_PICTURES),
    {.name = "classes",
     .kind = SW_TEXT,
     .argument = "NAME,...",
     .many = true,
     .help = "only these classes, by name or number"},
    {.name = "max-det",
     .kind = SW_INT,
     .argument = "N",
     .standard = "300",
     .least = 1,
     .most = 100000,
     .help = "at most so many boxes a picture"},
    {.name = "agnostic", .help = "boxes of different classes suppress each other, too"},
    {.name = "head",
     .kind = SW_TEXT,
     .argument = "NAME",
     .help =
         "what the model's outputs mean, where it is not recognised; 'slipway inspect MODEL' tells what was, and an "
         "unknown name lists all"},
    SW_DEVICE_OPTION,
    SW_STRICT_OPTION,
    SW_TRUST_CODE_OPTION,
    SW_NO_FALLBACK_OPTION,
    SW_THREADS_OPTION,
    {0},
};

#define DESCRIPTION                                                                                                         \
    "MODEL is a trained model for pictures (ONNX, .pt of Ultralytics, TensorFlow Lite, OpenVINO, a plan): a detector, or "  \
    "one for masks (segment), keypoints (pose), rotated boxes (obb) or classes of the whole picture (classify). How its "   \
    "picture must be prepared and what its outputs mean is recognised from the model itself. Without a model, the one in "  \
    "SLIPWAY_MODEL or the sample model is used, which finds people.\n\n"                                                    \
    "SOURCE is a picture (JPEG or PNG), a folder of pictures, a pattern in quotes such as 'shots/*.jpg', or - for one "     \
    "picture from standard input. Of several sources a broken one is reported, and the others are done.\n\n"                \
    "Boxes are x1 y1 x2 y2 in pixels of the picture, from its top left corner. In JSON, \"mask\" holds COCO's compressed "  \
    "run lengths, \"keypoints\" x, y and visibility of each point, \"obb\" the centre, sides, angle (radians) and corners " \
    "of a rotated box, and \"classes\" the five best classes of a picture."

const sw_verb sw_verb_predict = {
    .name = "predict",
    .operands = "[MODEL] SOURCE...",
    .most_operands = INT_MAX,
    .summary = "Find what is in pictures: boxes, masks, keypoints, classes",
    .description = DESCRIPTION,
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway predict yolo11n-seg.pt street.jpg -o found.jpg", "Masks, drawn and counted"},
            {"slipway predict yolo11n-pose.onnx photos --json poses.json", "Keypoints of a folder of pictures"},
            {"slipway predict yolo11n-cls.pt dog.jpg", "The five best classes"},
            {"slipway predict yolo11n-obb.pt aerial.png --imgsz 1024 --txt labels", "Rotated boxes, as label files"},
            {0},
        },
    .run = run,
};

const sw_verb sw_verb_detect = {
    .name = "detect",
    .operands = "[MODEL] SOURCE...",
    .most_operands = INT_MAX,
    .summary = "The same as predict",
    .description = DESCRIPTION,
    .options = options,
    .examples =
        (const sw_example[]){
            {"slipway detect yolo11n.onnx bus.jpg -o found.jpg", "Print what is in a picture, and draw it"},
            {"slipway detect yolo11n.onnx photos -o drawn --json found.json --conf 0.4", "A folder of pictures"},
            {"slipway detect yolo11n.onnx 'photos/*.jpg' --classes person,bus --csv -",
             "Only people and buses, as CSV"},
            {"curl -s https://example.org/a.jpg | slipway detect yolo11n.onnx - --json -", "A picture from a pipe"},
            {0},
        },
    .run = run,
};
