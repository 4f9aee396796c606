/* Runs the ONNX backend tests that fetch.py gathered and holds them to a manifest.
 *
 *     run_conformance DATA MANIFEST [--update] [--no-fusion] [--verbose] [TEXT]
 *
 * Every folder DATA/<suite>/<test> must be listed in MANIFEST: as `pass`; as `unsupported` with a reason; or as
 * `faulty` with a reason, when the test itself is at fault (its data contradict its model, or a later release corrected
 * them). It is a failure when a listed pass does anything else, when a listed unsupported test passes or fails in
 * another way than with MARY_ERROR_UNSUPPORTED, and when a test is not listed or a listed one does not exist. --update
 * rewrites MANIFEST from this run, keeping reasons; a test that gives wrong results is left as it was listed. With TEXT
 * only tests whose name contains it are run. Every test runs in a process of its own, so that a crash is the result of
 * one test. Exit status: 0, 1 when something failed, 77 (skipped, for CTest) without DATA. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/case.h"

enum { SKIPPED = 77, SECONDS_PER_TEST = 300, MOST_SHOWN = 60 };

typedef enum verdict { MISSING = 0, PASS, UNSUPPORTED, FAULTY, WRONG, VERDICTS } verdict;
static const char *const verdict_names[VERDICTS] = {"missing", "pass", "unsupported", "faulty", "WRONG"};

/* One test: what the manifest expects and what the run gave. */
typedef struct entry {
    char *name; /* "node/test_abs" */
    char *reason;
    verdict expected;
    verdict got;
    char *message;
    bool chosen;
} entry;

typedef struct list {
    entry *entries;
    size_t count;
    size_t capacity;
} list;

typedef struct options {
    const char *data;
    const char *manifest;
    const char *only;
    bool update;
    bool verbose;
    mary_session_options session;
} options;

static void *must(void *pointer)
{
    if (pointer == NULL) {
        fprintf(stderr, "run_conformance: out of memory\n");
        exit(EXIT_FAILURE);
    }
    return pointer;
}

static entry *list_add(list *tests, const char *name)
{
    if (tests->count == tests->capacity) {
        tests->capacity = tests->capacity == 0 ? 1024 : tests->capacity * 2;
        tests->entries = must(realloc(tests->entries, tests->capacity * sizeof *tests->entries));
    }
    entry *added = &tests->entries[tests->count++];
    *added = (entry){.name = must(strdup(name))};
    return added;
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static entry *list_find(const list *tests, size_t sorted, const char *name)
{
    const entry key = {.name = (char *)name};
    return bsearch(&key, tests->entries, sorted, sizeof key, entry_compare);
}

static void list_free(list *tests)
{
    for (size_t i = 0; i < tests->count; i++) {
        free(tests->entries[i].name);
        free(tests->entries[i].reason);
        free(tests->entries[i].message);
    }
    free(tests->entries);
}

/* Adds every DATA/<suite>/<test> that holds a model.onnx. */
static bool find_tests(const char *data, list *tests)
{
    DIR *suites = opendir(data);
    if (suites == NULL)
        return false;
    for (struct dirent *suite = readdir(suites); suite != NULL; suite = readdir(suites)) {
        char path[4096];
        if (suite->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", data, suite->d_name);
        DIR *folder = opendir(path);
        for (struct dirent *test = folder ? readdir(folder) : NULL; test != NULL; test = readdir(folder)) {
            char name[1024], model[8192];
            snprintf(name, sizeof name, "%s/%s", suite->d_name, test->d_name);
            snprintf(model, sizeof model, "%s/%s/model.onnx", data, name);
            if (access(model, R_OK) == 0)
                list_add(tests, name);
        }
        if (folder != NULL)
            closedir(folder);
    }
    closedir(suites);
    qsort(tests->entries, tests->count, sizeof *tests->entries, entry_compare);
    return tests->count > 0;
}

static verdict verdict_of(const char *word, size_t length)
{
    for (int listed = PASS; listed <= FAULTY; listed++) {
        if (strlen(verdict_names[listed]) == length && strncmp(word, verdict_names[listed], length) == 0)
            return (verdict)listed;
    }
    return MISSING;
}

/* Lines "pass NAME" and "unsupported NAME: REASON"; '#' starts a comment line. Tests that are listed only are appended.
 */
static bool read_manifest(const char *path, list *tests)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    const size_t sorted = tests->count;
    char line[2048];
    bool good = true;
    for (int number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        char *name = strchr(line, ' ');
        char *reason = name != NULL ? strstr(name, ": ") : NULL;
        const verdict listed = name != NULL ? verdict_of(line, (size_t)(name - line)) : MISSING;
        if (listed == MISSING || (listed != PASS && reason == NULL)) {
            fprintf(stderr, "%s:%d: neither 'pass NAME' nor 'unsupported NAME: REASON' nor 'faulty NAME: REASON'\n",
                    path, number);
            good = false;
            continue;
        }
        *name++ = '\0';
        if (reason != NULL) {
            *reason = '\0';
            reason += 2;
        }
        entry *found = list_find(tests, sorted, name);
        if (found == NULL)
            found = list_add(tests, name);
        if (found->expected != MISSING) {
            fprintf(stderr, "%s:%d: %s is listed twice\n", path, number, name);
            good = false;
            continue;
        }
        found->expected = listed;
        found->reason = listed == PASS ? NULL : must(strdup(reason));
    }
    fclose(file);
    return good;
}

/* Runs one test in a child; its verdict and message come back through a pipe. */
static void run_apart(const options *chosen, entry *test)
{
    int ends[2];
    char text[1024] = "";
    if (pipe(ends) != 0) {
        perror("pipe");
        exit(EXIT_FAILURE);
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    if (child == 0) {
        char folder[8192];
        close(ends[0]);
        alarm(SECONDS_PER_TEST);
        snprintf(folder, sizeof folder, "%s/%s", chosen->data, test->name);
        const mary_status status = case_run(folder, &chosen->session, text, sizeof text);
        if (write(ends[1], text, strlen(text)) < 0)
            _exit(99);
        close(ends[1]);
        exit(status == MARY_OK ? 10 : status == MARY_ERROR_UNSUPPORTED ? 11 : 12); /* exit: sanitizers report at exit */
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length < sizeof text - 1 && (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    test->got = code == 10 ? PASS : code == 11 ? UNSUPPORTED : code == 12 && test->expected == FAULTY ? FAULTY : WRONG;
    if (code >= 0 && (code < 10 || code > 12))
        snprintf(text, sizeof text, "ended with exit status %d", code);
    text[strcspn(text, "\n")] = '\0';
    test->message = must(strdup(text));
}

/* Why a test breaks the manifest; NULL when it does not. */
static const char *complaint(const entry *test)
{
    if (test->got == MISSING)
        return "is listed but does not exist";
    if (test->got == WRONG)
        return "fails";
    if (test->got == test->expected)
        return NULL;
    if (test->expected == MISSING)
        return "is not listed";
    return test->got == PASS ? "passes but is not listed so" : "is refused as unsupported but is not listed so";
}

static size_t suite_length(const char *name)
{
    return strcspn(name, "/");
}

static void print_row(const char *name, size_t length, const size_t *counts)
{
    const size_t ran = counts[PASS] + counts[UNSUPPORTED] + counts[FAULTY] + counts[WRONG];
    if (ran > 0)
        printf("%-20.*s %6zu %6zu %12zu %8zu %6zu\n", (int)length, name, ran, counts[PASS], counts[UNSUPPORTED],
               counts[FAULTY], counts[WRONG]);
}

static void print_counts(const list *tests)
{
    size_t total[VERDICTS] = {0};
    printf("%-20s %6s %6s %12s %8s %6s\n", "suite", "tests", "pass", "unsupported", "faulty", "wrong");
    for (size_t i = 0; i < tests->count;) {
        const size_t length = suite_length(tests->entries[i].name), start = i;
        size_t counts[VERDICTS] = {0};
        for (; i < tests->count && suite_length(tests->entries[i].name) == length &&
               strncmp(tests->entries[i].name, tests->entries[start].name, length) == 0;
             i++)
            counts[tests->entries[i].got]++;
        print_row(tests->entries[start].name, length, counts);
        for (int k = 0; k < VERDICTS; k++)
            total[k] += counts[k];
    }
    print_row("all", 3, total);
}

/* Appends " name" unless `text` has that word already. */
static void add_word(char *text, size_t size, const char *name, int length)
{
    const size_t used = strlen(text);
    char word[80];
    snprintf(word, sizeof word, " %.*s,", length, name);
    if (strstr(text, word) == NULL)
        snprintf(text + used, size - used, "%s", word);
}

/* A refusal in a few words: the operators that mary lacks, where the message lists nodes as "(Operator, opset N)"; else
 * what follows the path of the model. */
static void write_reason(FILE *file, const char *message)
{
    char operators[256] = "";
    for (const char *at = strchr(message, '('); at != NULL; at = strchr(at + 1, '(')) {
        const int length = (int)strcspn(at + 1, ",()");
        if (strncmp(at + 1 + length, ", opset", 7) == 0)
            add_word(operators, sizeof operators, at + 1, length);
    }
    const char *path_end = strstr(message, "model.onnx: ");
    if (operators[0] != '\0')
        fprintf(file, ": no operator%.*s", (int)strlen(operators) - 1, operators);
    else
        fprintf(file, ": %.160s", path_end != NULL ? path_end + strlen("model.onnx: ") : message);
}

/* Replaces the manifest by what this run gave. A wrong result is left as it was listed: it stays a failure. */
static int write_manifest(const char *path, const list *tests)
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    if (file == NULL) {
        perror(temporary);
        return EXIT_FAILURE;
    }
    fprintf(
        file,
        "# Every ONNX backend test and what mary does with it; checked and rewritten by run_conformance (see there).\n"
        "# A reason may be edited: it is kept when the manifest is rewritten.\n");
    for (size_t i = 0; i < tests->count; i++) {
        const entry *test = &tests->entries[i];
        const verdict listed = test->got == WRONG ? test->expected : test->got;
        if (listed == MISSING)
            continue;
        fprintf(file, "%s %s", verdict_names[listed], test->name);
        if (listed == UNSUPPORTED && test->reason == NULL)
            write_reason(file, test->message);
        else if (listed != PASS)
            fprintf(file, ": %s", test->reason);
        fprintf(file, "\n");
    }
    if (fclose(file) != 0 || rename(temporary, path) != 0) {
        perror(path);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static bool parse_options(int argc, char **argv, options *chosen)
{
    chosen->session.threads = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--update") == 0)
            chosen->update = true;
        else if (strcmp(argv[i], "--no-fusion") == 0)
            chosen->session.no_fusion = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            chosen->verbose = true;
        else if (argv[i][0] == '-')
            return false;
        else if (chosen->data == NULL)
            chosen->data = argv[i];
        else if (chosen->manifest == NULL)
            chosen->manifest = argv[i];
        else
            chosen->only = argv[i];
    }
    return chosen->manifest != NULL && !(chosen->update && chosen->only != NULL);
}

int main(int argc, char **argv)
{
    options chosen = {0};
    list tests = {0};
    if (!parse_options(argc, argv, &chosen)) {
        fprintf(stderr, "usage: run_conformance DATA MANIFEST [--update | TEXT] [--no-fusion] [--verbose]\n");
        return 2;
    }
    if (!find_tests(chosen.data, &tests)) {
        printf("SKIPPED: no ONNX backend tests in %s; scripts/setup.sh --tests fetches them\n", chosen.data);
        list_free(&tests);
        return SKIPPED;
    }
    const size_t existing = tests.count;
    if (!read_manifest(chosen.manifest, &tests) && !chosen.update) {
        fprintf(stderr, "cannot use %s\n", chosen.manifest);
        list_free(&tests);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < existing; i++) {
        entry *test = &tests.entries[i];
        test->chosen = chosen.only == NULL || strstr(test->name, chosen.only) != NULL;
        if (test->chosen)
            run_apart(&chosen, test);
        if (chosen.verbose && test->chosen)
            printf("%s: %s %s\n", test->name,
                   test->got == PASS          ? "pass"
                   : test->got == UNSUPPORTED ? "unsupported"
                                              : "WRONG",
                   test->message);
    }
    size_t failures = 0;
    for (size_t i = 0; i < tests.count; i++) {
        const entry *test = &tests.entries[i];
        const bool counts = chosen.update ? test->got == WRONG : chosen.only == NULL || test->chosen;
        const char *what = counts ? complaint(test) : NULL;
        if (what != NULL && ++failures <= MOST_SHOWN)
            printf("%s %s%s%s\n", test->name, what, test->message ? ": " : "", test->message ? test->message : "");
    }
    if (failures > MOST_SHOWN)
        printf("... and %zu more\n", failures - MOST_SHOWN);
    print_counts(&tests);
    int result = failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (chosen.update && write_manifest(chosen.manifest, &tests) != EXIT_SUCCESS)
        result = EXIT_FAILURE;
    list_free(&tests);
    return result;
}
