/* Allocation: the best choice of one candidate a layer, against trying all of them. */
#include "search/allocate.h"

#include <math.h>

#include "tests/support/suite.h"

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* The least loss within the budget of all picks there are; infinite when none fits. */
static double best_of_all(const mary_choices *choices, uint64_t budget)
{
    uint8_t picks[8] = {0};
    double best = INFINITY;
    for (;;) {
        if (mary_allocation_bytes(choices, picks) <= budget)
            best = fmin(best, mary_allocation_loss(choices, picks));
        size_t l = 0;
        while (l < choices->layers && ++picks[l] == choices->candidates)
            picks[l++] = 0;
        if (l == choices->layers)
            return best;
    }
}

/* Losses need not fall with bytes, and candidates may cost the same. */
static mary_choices problem(uint64_t *bytes, double *losses, uint32_t most, uint64_t factor)
{
    const mary_choices choices = {1 + draw(5), 1 + (int)draw(5), bytes, losses};
    for (size_t i = 0; i < choices.layers * (size_t)choices.candidates; i++) {
        bytes[i] = draw(most) * factor + (factor > 1 ? draw(1000) : 0);
        losses[i] = draw(4) == 0 ? 0 : draw(1000) / 997.0;
    }
    return choices;
}

START_TEST(small_problems_are_solved_exactly)
{
    uint64_t bytes[25], least, most;
    double losses[25];
    for (int round = 0; round < 4000; round++) {
        const mary_choices choices = problem(bytes, losses, 1 + draw(60), 1);
        uint8_t picks[8];
        bool fits;
        mary_allocation_range(&choices, &least, &most);
        const uint64_t budget = draw((uint32_t)most + 20);
        assert_ok(mary_allocate(&choices, budget, picks, &fits));
        const double best = best_of_all(&choices, budget);
        ck_assert_int_eq(fits, isfinite(best));
        if (!fits) {
            ck_assert_uint_eq(mary_allocation_bytes(&choices, picks), least);
            continue;
        }
        ck_assert_uint_le(mary_allocation_bytes(&choices, picks), budget);
        ck_assert_msg(fabs(mary_allocation_loss(&choices, picks) - best) < 1e-12, "round %d: %g, not %g", round,
                      mary_allocation_loss(&choices, picks), best);
    }
}
END_TEST

START_TEST(large_ones_stay_within_the_budget_and_lose_no_more_than_rounding)
{
    uint64_t bytes[25], least, most;
    double losses[25];
    for (int round = 0; round < 150; round++) {
        const mary_choices choices = problem(bytes, losses, 50, 1000003);
        uint8_t picks[8];
        bool fits;
        mary_allocation_range(&choices, &least, &most);
        const uint64_t budget = least + (most - least) * draw(101) / 100;
        assert_ok(mary_allocate(&choices, budget, picks, &fits));
        ck_assert(fits);
        ck_assert_uint_le(mary_allocation_bytes(&choices, picks), budget);
        const uint64_t unit = budget / MARY_ALLOCATION_UNITS + 1;
        if (budget > least + (choices.layers + 1) * unit)
            ck_assert(mary_allocation_loss(&choices, picks) <=
                      best_of_all(&choices, budget - (choices.layers + 1) * unit) + 1e-12);
    }
}
END_TEST

START_TEST(equally_good_picks_are_those_of_fewer_bytes)
{
    const uint64_t bytes[] = {9, 3, 5, 8, 2, 2};
    const double losses[] = {0.5, 0.5, 0.5, 0.25, 0.75, 0.25};
    const mary_choices choices = {2, 3, bytes, losses};
    uint8_t picks[2];
    bool fits;
    assert_ok(mary_allocate(&choices, 100, picks, &fits));
    ck_assert(fits);
    ck_assert_int_eq(picks[0], 1);
    ck_assert_int_eq(picks[1], 2);
}
END_TEST

START_TEST(extreme_budgets_and_no_layers_are_fine)
{
    const uint64_t bytes[] = {7, 3};
    const double losses[] = {0, 1e30};
    mary_choices choices = {1, 2, bytes, losses};
    uint8_t picks[1];
    bool fits;
    assert_ok(mary_allocate(&choices, UINT64_MAX, picks, &fits));
    ck_assert(fits && picks[0] == 0);
    assert_ok(mary_allocate(&choices, 0, picks, &fits));
    ck_assert(!fits && picks[0] == 1);
    assert_ok(mary_allocate(&choices, 6, picks, &fits));
    ck_assert(fits && picks[0] == 1);
    choices.layers = 0;
    assert_ok(mary_allocate(&choices, 0, picks, &fits));
    ck_assert(fits);
    choices.layers = 1;
    mary_memory_fail_after(0);
    const mary_status status = mary_allocate(&choices, 100, picks, &fits);
    mary_memory_fail_after(-1);
    ck_assert_int_eq(status, MARY_ERROR_INTERNAL);
}
END_TEST

MARY_TEST_MAIN("search/allocate", small_problems_are_solved_exactly,
               large_ones_stay_within_the_budget_and_lose_no_more_than_rounding,
               equally_good_picks_are_those_of_fewer_bytes, extreme_budgets_and_no_layers_are_fine)
