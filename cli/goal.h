/* Goals of `mary convert`: options, and what was found. */
#ifndef MARY_CLI_GOAL_H
#define MARY_CLI_GOAL_H

#include "cli/report/json.h"

typedef struct mary_cli_goal {
    const char *option; /* "--target-ratio"; NULL: no goal, only `goal.pack` counts */
    mary_goal goal;
    mary_progress progress;
    const char *phase; /* that is being shown */
} mary_cli_goal;

/* argp child with --target-ratio, --target-bytes, --max-drop and --pack; its input is a zeroed mary_cli_goal. */
extern const struct argp mary_cli_goal_argp;
/* What goes with a goal and what does not: a usage error is printed. */
error_t mary_cli_goal_check(const mary_cli_goal *goal, const struct argp_state *state,
                            const mary_convert_options *convert, bool calibrated);
/* The rest of the goal, before it is searched for. `frontier`: other sizes are to be measured, too. */
void mary_cli_goal_prepare(mary_cli_goal *goal, uint64_t float_bytes, bool quiet, bool frontier);
void mary_cli_goal_progress_finish(mary_cli_goal *goal);

mary_status mary_cli_goal_print(const mary_cli_goal *goal, const mary_goal_result *result);
/* The value of the report's key "goal". */
json_t *mary_cli_goal_json(const mary_cli_goal *goal, const mary_goal_result *result);

#endif
