/* RegisterCustomOps: what ONNX Runtime calls after it has loaded the library. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "onnx/memory.h"
#include "runtime/ort/custom_ops/custom_ops.h"

__attribute__((visibility("default"))) OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base);

/* Session configuration entries: which operators the caller wants, and that these options have them. */
#define CHOICE "mary.operators"
#define DONE   "mary.registered"

/* What one ONNX Runtime of this process was given for one choice of operators. Entries live as long as the process,
 * like the library (it is linked with nodelete): sessions refer to them to the end. */
typedef struct domain {
    const OrtApi *api;
    uint64_t chosen; /* bit i: the definition number i */
    OrtCustomOpDomain *made;
    struct domain *next;
} domain;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `known` */
static domain *known;

/* MaryPacked is always there: it has no function body, so that nothing else could run it. */
static mary_status create_domain(domain *entry)
{
    const OrtApi *api = entry->api;
    size_t count;
    mary_ort_operator *operators = mary_ort_operators(&count);
    MARY_TRY(mary_ort_take(api, api->CreateCustomOpDomain("ai.mary", &entry->made)));
    MARY_TRY(mary_ort_take(api, api->CustomOpDomain_Add(entry->made, &mary_ort_packed)));
    for (size_t i = 0; i < count; i++) {
        if (entry->chosen >> mary_ort_definition_index(operators[i].definition) & 1)
            MARY_TRY(mary_ort_take(api, api->CustomOpDomain_Add(entry->made, &operators[i].base)));
    }
    return MARY_OK;
}

/* Called with the lock held. */
static mary_status find_domain(const OrtApi *api, uint64_t chosen, OrtCustomOpDomain **made)
{
    domain *entry = known;
    while (entry != NULL && (entry->api != api || entry->chosen != chosen))
        entry = entry->next;
    if (entry == NULL) {
        entry = mary_calloc(1, sizeof *entry);
        if (entry == NULL)
            return mary_fail_memory(sizeof *entry);
        *entry = (domain){.api = api, .chosen = chosen, .next = known};
        mary_status status = create_domain(entry);
        if (status != MARY_OK) {
            if (entry->made != NULL)
                api->ReleaseCustomOpDomain(entry->made);
            mary_free(entry);
            return status;
        }
        known = entry;
    }
    *made = entry->made;
    return MARY_OK;
}

/* The entry's value, or "" when there is none; longer ones are cut. */
static mary_status read_entry(const OrtApi *api, const OrtSessionOptions *options, const char *key, char *value,
                              size_t size)
{
    int there = 0;
    *value = '\0';
    MARY_TRY(mary_ort_take(api, api->HasSessionConfigEntry(options, key, &there)));
    if (!there)
        return MARY_OK;
    size_t needed = 0;
    MARY_TRY(mary_ort_take(api, api->GetSessionConfigEntry(options, key, NULL, &needed)));
    if (needed > size)
        return mary_fail(MARY_ERROR_USAGE, "the session configuration entry %s is %zu bytes long", key, needed);
    return mary_ort_take(api, api->GetSessionConfigEntry(options, key, value, &size));
}

/* "auto", "all", or names of operators with commas between them, as bits. */
static mary_status parse_choice(char *text, uint64_t *chosen)
{
    char *rest = NULL;
    *chosen = 0;
    for (char *name = strtok_r(text, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest)) {
        uint64_t before = *chosen;
        const mary_ort_definition *definition;
        for (int i = 0; (definition = mary_ort_definition_at(i)) != NULL; i++) {
            bool automatic = strcmp(name, "auto") == 0 && definition->wins;
            if (automatic || strcmp(name, "all") == 0 || strcmp(name, definition->type) == 0)
                *chosen |= UINT64_C(1) << i;
        }
        bool adds_nothing = strcmp(name, "auto") == 0 || strcmp(name, mary_ort_packed.GetName(NULL)) == 0;
        if (*chosen == before && !adds_nothing)
            return mary_fail(MARY_ERROR_USAGE,
                             "the session configuration entry " CHOICE
                             " has '%s', it must be auto, all, or names of operators of ai.mary",
                             name);
    }
    return MARY_OK;
}

static mary_status add_to(const OrtApi *api, OrtSessionOptions *options)
{
    char text[256];
    uint64_t chosen;
    OrtCustomOpDomain *made = NULL;
    MARY_TRY(read_entry(api, options, DONE, text, sizeof text));
    if (*text != '\0') /* a second time: these options have the operators */
        return MARY_OK;
    MARY_TRY(read_entry(api, options, CHOICE, text, sizeof text));
    if (*text == '\0')
        strcpy(text, "auto");
    MARY_TRY(parse_choice(text, &chosen));
    pthread_mutex_lock(&lock);
    mary_status status = find_domain(api, chosen, &made);
    pthread_mutex_unlock(&lock);
    MARY_TRY(status);
    MARY_TRY(mary_ort_take(api, api->AddCustomOpDomain(options, made)));
    return mary_ort_take(api, api->AddSessionConfigEntry(options, DONE, MARY_VERSION));
}

OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base)
{
    const OrtApi *api = base->GetApi(MARY_ORT_API);
    if (api == NULL) {
        char text[128];
        snprintf(text, sizeof text, "mary's operators need ONNX Runtime 1.%d or later, this is %s", MARY_ORT_API,
                 base->GetVersionString());
        return base->GetApi(1)->CreateStatus(ORT_NOT_IMPLEMENTED, text);
    }
    return mary_ort_status(api, add_to(api, options));
}
