/* What `mary convert` says about a goal. */
#include <inttypes.h>
#include <math.h>

#include "cli/goal.h"
#include "cli/report/table.h"

static void name_of(const mary_goal_point *point, char *text, size_t size)
{
    if (point->levels == 0)
        snprintf(text, size, "M per layer");
    else
        snprintf(text, size, "M = %d%s", point->levels, point->ends_finer ? ", first and last 256" : "");
}

static void percent(mary_table *table, double part)
{
    if (part >= 0)
        mary_table_cell(table, "%.2f", 100 * part);
    else
        mary_table_cell(table, "%s", "");
}

static void point_row(mary_table *table, const mary_goal_point *point, uint64_t float_bytes)
{
    char name[64];
    name_of(point, name, sizeof name);
    mary_table_cell(table, "%s", name);
    mary_table_cell(table, "%" PRIu64, point->bytes);
    mary_table_cell(table, "%.2f", (double)float_bytes / (double)point->bytes);
    mary_table_cell(table, "%.4g", point->divergence >= 0 ? point->divergence : point->error);
    percent(table, point->agreement);
    percent(table, point->accuracy);
    if (isnan(point->drop))
        mary_table_cell(table, "%s", "");
    else
        mary_table_cell(table, "%.2f +- %.2f", point->drop, point->drop_deviation);
}

static mary_status print_points(const mary_goal_summary *summary)
{
    mary_table table;
    char heading[160];
    snprintf(heading, sizeof heading, "<model|>bytes|>ratio|>%s|>agreement %%|>accuracy %%|>%s",
             summary->scored ? "divergence" : "error", summary->labelled ? "drop" : "drop, at most");
    mary_table_begin(&table, heading);
    mary_table_cell(&table, "float");
    mary_table_cell(&table, "%" PRIu64, summary->float_bytes);
    mary_table_cell(&table, "1.00");
    mary_table_cell(&table, "%s", "");
    mary_table_cell(&table, "%s", "");
    percent(&table, summary->float_accuracy);
    mary_table_cell(&table, "%s", "");
    point_row(&table, &summary->mixed, summary->float_bytes);
    if (summary->has_uniform)
        point_row(&table, &summary->uniform, summary->float_bytes);
    return mary_table_end(&table, stdout);
}

mary_status mary_cli_goal_print(const mary_cli_goal *goal, const mary_goal_result *result)
{
    const mary_goal_summary *summary = mary_goal_summary_of(result);
    const char *packed = goal->goal.pack ? "packed " : "";
    printf("\ngoal     %s %g: ", goal->option, goal->goal.value);
    if (goal->goal.kind == MARY_GOAL_DROP)
        printf("the smallest %sfile that loses at most %g points of %s\n", packed, goal->goal.value,
               summary->labelled ? "accuracy" : "agreement, which accuracy cannot lose more of");
    else
        printf("the best %sfile of at most %" PRIu64 " bytes\n", packed, summary->target_bytes);
    if (summary->judging < summary->samples)
        printf("samples  %" PRId64 ": layers were measured with %" PRId64 ", and what follows is of %" PRId64
               " held apart; one of them is %.2f points\n\n",
               summary->samples, summary->measured, summary->judging, 100.0 / (double)summary->judging);
    else
        printf("samples  %" PRId64 ", of which layers were measured with %" PRId64
               "; what follows is of all, one of them is %.2f points\n\n",
               summary->samples, summary->measured, 100.0 / (double)summary->judging);
    MARY_TRY(print_points(summary));
    if (!summary->has_uniform)
        printf("\nOne M for all layers does not meet the goal.\n");
    if (summary->took_uniform)
        printf("\nOne M for all layers is better here than M per layer, and was written.\n");
    return MARY_OK;
}

static json_t *part_json(double value)
{
    return value >= 0 ? mary_json_real(value) : json_null();
}

static json_t *point_json(const mary_goal_point *point)
{
    json_t *object = json_object();
    json_object_set_new(object, "levels", point->levels == 0 ? json_null() : json_integer(point->levels));
    json_object_set_new(object, "first_and_last_levels",
                        point->levels == 0 ? json_null() : json_integer(point->ends_finer ? 256 : point->levels));
    json_object_set_new(object, "bytes", json_integer((json_int_t)point->bytes));
    json_object_set_new(object, "divergence", part_json(point->divergence));
    json_object_set_new(object, "output_error", mary_json_real(point->error));
    json_object_set_new(object, "agreement", part_json(point->agreement));
    json_object_set_new(object, "accuracy", part_json(point->accuracy));
    json_object_set_new(object, "drop_points", mary_json_real(point->drop));
    json_object_set_new(object, "drop_deviation", mary_json_real(point->drop_deviation));
    return object;
}

json_t *mary_cli_goal_json(const mary_cli_goal *goal, const mary_goal_result *result)
{
    const mary_goal_summary *summary = mary_goal_summary_of(result);
    json_t *object = json_object(), *frontier = json_array();
    json_object_set_new(object, "option", json_string(goal->option));
    json_object_set_new(object, "value", mary_json_real(goal->goal.value));
    json_object_set_new(object, "packed", json_boolean(goal->goal.pack));
    json_object_set_new(object, "float_bytes", json_integer((json_int_t)summary->float_bytes));
    json_object_set_new(object, "target_bytes",
                        goal->goal.kind == MARY_GOAL_DROP ? json_null()
                                                          : json_integer((json_int_t)summary->target_bytes));
    json_object_set_new(object, "samples", json_integer(summary->samples));
    json_object_set_new(object, "samples_measured", json_integer(summary->measured));
    json_object_set_new(object, "samples_judging", json_integer(summary->judging));
    json_object_set_new(object, "labelled", json_boolean(summary->labelled));
    json_object_set_new(object, "float_accuracy", part_json(summary->float_accuracy));
    json_object_set_new(object, "mixed", point_json(&summary->mixed));
    json_object_set_new(object, "uniform", summary->has_uniform ? point_json(&summary->uniform) : json_null());
    json_object_set_new(object, "written", json_string(summary->took_uniform ? "uniform" : "mixed"));
    for (size_t i = 0; mary_goal_frontier(result, i) != NULL; i++)
        json_array_append_new(frontier, point_json(mary_goal_frontier(result, i)));
    json_object_set_new(object, "frontier", frontier);
    return object;
}
