/* Which kind of dataset a path is, and its pictures. */
#include "eval/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/str.h"
#include "eval/coco.h"
#include "eval/yaml.h"

/* What finding pictures works on. */
typedef struct finder {
    const sw_dataset_options *options;
    sw_arena *arena;
    const sw_diag *diag;
    void *images; /* sw_dataset_image */
    size_t n, cap;
} finder;

static const char *const splits[] = {"val", "test", "train"};
enum { N_SPLITS = sizeof splits / sizeof splits[0] };

static bool is_picture_name(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (sw_str_ends_like(name, endings[i])) return true;
    return false;
}

static const char *join(const finder *f, const char *folder, const char *name) {
    if (name[0] == '/' || !folder[0]) return sw_arena_strdup(f->arena, name);
    return sw_arena_printf(f->arena, "%s%s%s", folder, sw_str_ends_with(folder, "/") ? "" : "/", name);
}

static bool is_folder(const char *path) {
    return path && sw_path_kind_of(path) == SW_PATH_FOLDER;
}
static bool is_file(const char *path) {
    return path && sw_path_kind_of(path) == SW_PATH_FILE;
}

/* The folder that a path lies in; "." when it names none. */
static const char *folder_of(const finder *f, const char *path) {
    size_t length = (size_t)(sw_path_name(path) - path);
    return length ? sw_arena_strndup(f->arena, path, length > 1 ? length - 1 : 1) : ".";
}

static sw_status add_image(finder *f, sw_dataset_image image) {
    sw_status status = sw_grow(NULL, &f->images, &f->cap, f->n + 1, sizeof image, SW_DATASET_MAX_IMAGES);
    if (status == SW_E_LIMIT)
        return sw_fail(f->diag, status, NULL, NULL, "more than %d pictures", SW_DATASET_MAX_IMAGES);
    SW_TRY(status);
    if (!image.path) return SW_E_NOMEM;
    image.id = (int64_t)f->n + 1;
    ((sw_dataset_image *)f->images)[f->n++] = image;
    return SW_OK;
}

/* ---- Label files
 * ---------------------------------------------------------------------------------------------------- */

/* Ultralytics' rule: the last folder "images" becomes "labels", the ending ".txt". */
static const char *label_path(const finder *f, const char *picture) {
    const char *last = NULL, *dot = strrchr(sw_path_name(picture), '.');
    for (const char *at = picture; (at = strstr(at, "/images/")); at++) last = at;
    int stem = (int)(dot ? dot - picture : (long)strlen(picture));
    if (last)
        return sw_arena_printf(f->arena, "%.*s/labels/%.*s.txt", (int)(last - picture), picture,
                               stem - (int)(last + 8 - picture), last + 8);
    if (sw_str_starts_with(picture, "images/"))
        return sw_arena_printf(f->arena, "labels/%.*s.txt", stem - 7, picture + 7);
    return sw_arena_printf(f->arena, "%.*s.txt", stem, picture);
}

static sw_status add_labelled(finder *f, const char *path) {
    const char *label = path ? label_path(f, path) : NULL;
    if (!label) return SW_E_NOMEM;
    return add_image(f, (sw_dataset_image){.path = path, .label_path = label, .category = -1});
}

enum { MAX_DEPTH = 8 };

/* Pictures of a folder and the folders within. */
static sw_status add_tree(finder *f, const char *folder, int depth) {
    sw_names names;
    SW_TRY(sw_dir_list(folder, f->arena, f->diag, &names));
    for (size_t i = 0; i < names.n; i++) {
        const char *path = join(f, folder, names.names[i]);
        if (is_picture_name(names.names[i]))
            SW_TRY(add_labelled(f, path));
        else if (depth < MAX_DEPTH && is_folder(path))
            SW_TRY(add_tree(f, path, depth + 1));
    }
    return SW_OK;
}

/* A text file with a picture a line; "./" stands for its own folder. */
static sw_status add_listed(finder *f, const char *path) {
    sw_map map;
    SW_TRY(sw_map_open(path, f->diag, &map));
    const char *at = (const char *)map.data, *end = at + map.size, *folder = folder_of(f, path);
    sw_status status = folder ? SW_OK : SW_E_NOMEM;
    while (at < end && status == SW_OK) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at)), *next = line_end ? line_end + 1 : end;
        size_t length = (size_t)((line_end ? line_end : end) - at);
        while (length && (at[length - 1] == '\r' || at[length - 1] == ' ')) length--;
        if (length) {
            bool local = length > 2 && at[0] == '.' && at[1] == '/';
            const char *name = sw_arena_strndup(f->arena, at + (local ? 2 : 0), length - (local ? 2 : 0));
            status = name ? add_labelled(f, local ? join(f, folder, name) : name) : SW_E_NOMEM;
        }
        at = next;
    }
    sw_map_close(&map);
    return status;
}

static sw_status none_found(const finder *f, const char *path) {
    return sw_fail(f->diag, SW_E_INPUT, path, NULL, "there are no pictures (.jpg, .jpeg, .png)");
}

static sw_status finish(finder *f, const char *path, const char *kind, sw_dataset *dataset) {
    if (!f->n) return none_found(f, path);
    dataset->kind = kind;
    dataset->n_images = f->n;
    dataset->images = sw_arena_copy(f->arena, f->images, f->n * sizeof *dataset->images);
    return dataset->images ? SW_OK : SW_E_NOMEM;
}

static sw_status load_yaml(finder *f, const char *path, sw_dataset *dataset) {
    sw__data_yaml yaml;
    SW_TRY(sw__yaml_read(path, f->arena, f->diag, &yaml));
    const sw__yaml_list *list = NULL;
    const char *asked = f->options->split, *split = asked;
    for (int i = 0; i < N_SPLITS; i++) {
        if (list || (asked && strcmp(asked, splits[i]) != 0) || !yaml.splits[i].n) continue;
        list = &yaml.splits[i];
        split = splits[i];
    }
    if (!list)
        return sw_fail(f->diag, SW_E_INPUT, path, "give val: (or test:, train:) a folder of pictures",
                       "it names no '%s' pictures", asked ? asked : splits[0]);
    const char *beside = folder_of(f, path), *root = yaml.path ? yaml.path : beside;
    if (!beside) return SW_E_NOMEM;
    /* A relative `path` is looked for from here (as Ultralytics does), then from the file. */
    if (yaml.path && !is_folder(root)) root = join(f, beside, yaml.path);
    for (size_t i = 0; i < list->n; i++) {
        const char *source = root ? join(f, root, list->items[i]) : NULL;
        if (!source) return SW_E_NOMEM;
        if (is_folder(source))
            SW_TRY(add_tree(f, source, 0));
        else if (is_file(source))
            SW_TRY(add_listed(f, source));
        else
            return sw_fail(f->diag, SW_E_IO, path, "set path: to the folder of the dataset", "%s: there is no %s",
                           split, source);
    }
    dataset->categories = yaml.names;
    dataset->n_categories = yaml.n_names;
    dataset->n_points = yaml.n_points;
    dataset->point_values = yaml.point_values;
    return finish(f, path, "YOLO", dataset);
}

/* ---- Folders of classes
 * --------------------------------------------------------------------------------------------- */

static sw_status load_classes(finder *f, const char *path, sw_dataset *dataset) {
    const char *root = path, *asked = f->options->split;
    for (int i = 0; i < N_SPLITS && root == path; i++) {
        const char *inner = !asked || !strcmp(asked, splits[i]) ? join(f, path, splits[i]) : NULL;
        if (is_folder(inner)) root = inner;
    }
    if (asked && root == path) return sw_fail(f->diag, SW_E_INPUT, path, NULL, "it has no folder %s", asked);
    sw_names names;
    SW_TRY(sw_dir_list(root, f->arena, f->diag, &names));
    dataset->categories = SW_ARENA_ARRAY(f->arena, sw_category_name, names.n + 1);
    if (!dataset->categories) return SW_E_NOMEM;
    for (size_t i = 0; i < names.n; i++) {
        const char *folder = join(f, root, names.names[i]);
        if (!is_folder(folder) || names.names[i][0] == '.') continue;
        int category = (int)dataset->n_categories;
        if (category >= SW_DATASET_MAX_CATEGORIES) return sw_fail(f->diag, SW_E_LIMIT, root, NULL, "too many classes");
        dataset->categories[dataset->n_categories++] = (sw_category_name){category, names.names[i]};
        sw_names pictures;
        SW_TRY(sw_dir_list(folder, f->arena, f->diag, &pictures));
        for (size_t k = 0; k < pictures.n; k++)
            if (is_picture_name(pictures.names[k]))
                SW_TRY(
                    add_image(f, (sw_dataset_image){.path = join(f, folder, pictures.names[k]), .category = category}));
    }
    if (!f->n)
        return sw_fail(f->diag, SW_E_INPUT, root, NULL,
                       "a model of classes needs a folder of pictures for each class here");
    return finish(f, root, "folders of classes", dataset);
}

/* ---- COCO
 * ----------------------------------------------------------------------------------------------------------- */

/* The folder where the first picture is: as asked, the file's, images/ or the name's part after '_' beside it or one
 * level up (annotations/instances_val2017.json: val2017/). */
static const char *pictures_folder(const finder *f, const char *path, const char *first) {
    if (f->options->images) return f->options->images;
    const char *beside = folder_of(f, path), *name = sw_path_name(path), *under = strrchr(name, '_'),
               *dot = strrchr(name, '.');
    const char *part =
        under && dot > under ? sw_arena_strndup(f->arena, under + 1, (size_t)(dot - under - 1)) : "val2017";
    const char *const patterns[] = {"", "images", part, "..", "../images", "val2017"};
    for (size_t i = 0; beside && part && i < sizeof patterns / sizeof patterns[0]; i++) {
        const char *folder = join(f, beside, patterns[i]), *picture = folder ? join(f, folder, first) : NULL;
        if (is_file(picture)) return folder;
    }
    const char *up = beside && part ? sw_arena_printf(f->arena, "%s/../%s", beside, part) : NULL;
    return up && is_file(join(f, up, first)) ? up : NULL;
}

static sw_status load_coco(finder *f, const char *path, sw_dataset *dataset) {
    sw_map map;
    SW_TRY(sw_map_open(path, f->diag, &map));
    sw_status status = sw__coco_parse(map.data, map.size, path, f->arena, f->diag, dataset);
    sw_map_close(&map);
    if (status != SW_OK) return status;
    const char *folder = pictures_folder(f, path, dataset->images[0].path);
    if (!folder)
        return sw_fail(f->diag, SW_E_IO, path, "name their folder with --images",
                       "its pictures (%s ...) are not beside it", dataset->images[0].path);
    for (size_t i = 0; i < dataset->n_images; i++) {
        dataset->images[i].path = join(f, folder, dataset->images[i].path);
        if (!dataset->images[i].path) return SW_E_NOMEM;
    }
    return SW_OK;
}

/* ---- Which kind
 * ----------------------------------------------------------------------------------------------------- */

/* The only file in a folder with that ending, preferring names that begin so; NULL: none. SW_E_INPUT when several
 * might be meant. */
static sw_status find_file(const finder *f, const char *folder, const char *ending, const char *start,
                           const char **found) {
    sw_names names;
    SW_TRY(sw_dir_list(folder, f->arena, f->diag, &names));
    const char *best = NULL;
    bool best_begins = false, several = false;
    for (size_t i = 0; i < names.n; i++) {
        if (!sw_str_ends_like(names.names[i], ending)) continue;
        bool begins = sw_str_starts_with(names.names[i], start);
        if (best && begins == best_begins) several = true;
        if (best && (best_begins || !begins)) continue;
        best = names.names[i];
        best_begins = begins;
        several = false;
    }
    if (several) return sw_fail(f->diag, SW_E_INPUT, folder, "name the file", "it holds several %s files", ending);
    *found = best ? join(f, folder, best) : NULL;
    return best && !*found ? SW_E_NOMEM : SW_OK;
}

static sw_status load_folder(finder *f, const char *path, sw_dataset *dataset) {
    const char *found = NULL, *annotations = join(f, path, "annotations"), *images = join(f, path, "images");
    if (!annotations || !images) return SW_E_NOMEM;
    if (f->options->classes) return load_classes(f, path, dataset);
    SW_TRY(find_file(f, path, ".yaml", "data", &found));
    if (found) return load_yaml(f, found, dataset);
    SW_TRY(find_file(f, path, ".json", "instances", &found));
    if (!found && is_folder(annotations)) SW_TRY(find_file(f, annotations, ".json", "instances", &found));
    if (found) return load_coco(f, found, dataset);
    if (is_folder(images)) {
        SW_TRY(add_tree(f, images, 0));
        return finish(f, images, "YOLO", dataset);
    }
    return sw_fail(
        f->diag, SW_E_INPUT, path,
        "a dataset is a .yaml of Ultralytics, a .json of COCO, a folder with images/ and labels/, or, for classes, a "
        "folder of pictures for each class",
        "nothing here tells what is in the pictures");
}

sw_status sw_dataset_load(const char *path, const sw_dataset_options *options, sw_arena *arena, const sw_diag *diag,
                          sw_dataset *dataset) {
    finder f = {.options = options, .arena = arena, .diag = diag};
    *dataset = (sw_dataset){0};
    sw_status status;
    if (is_folder(path))
        status = load_folder(&f, path, dataset);
    else if (sw_str_ends_like(path, ".yaml") || sw_str_ends_like(path, ".yml"))
        status = load_yaml(&f, path, dataset);
    else
        status = load_coco(&f, path, dataset);
    sw_free(NULL, f.images);
    if (status == SW_E_NOMEM) sw_fail(diag, status, path, NULL, "out of memory");
    return status;
}
