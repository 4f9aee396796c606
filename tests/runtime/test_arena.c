/* Memory that the arena gives to values that live at the same time never overlaps, and is reused otherwise. */
#include "tests/support/suite.h"

#include "onnx/memory.h"
#include "runtime/plan.h"

enum { SLOTS = 200 };

static mary_slot make_slot(int first, int last, int64_t bytes)
{
    return (mary_slot){
        .tensor = {.type = MARY_UINT8, .shape = {1, {bytes}}}, .place = MARY_PLACE_ARENA, .first = first, .last = last};
}

static bool share_bytes(const mary_slot *a, const mary_slot *b)
{
    size_t a_end = a->offset + mary_tensor_bytes(&a->tensor), b_end = b->offset + mary_tensor_bytes(&b->tensor);
    return a->offset < b_end && b->offset < a_end;
}

START_TEST(values_that_live_together_do_not_overlap)
{
    mary_slot slots[SLOTS];
    unsigned seed = 12345;
    for (int i = 0; i < SLOTS; i++) {
        seed = seed * 1103515245 + 12345;
        int first = (int)(seed >> 16 & 63);
        slots[i] = make_slot(first, first + (int)(seed >> 24 & 7), 1 + (int)(seed >> 8 & 0xfff));
    }
    mary_plan plan = {.slots = slots, .slot_count = SLOTS};
    assert_ok(mary_plan_place(&plan));
    for (int i = 0; i < SLOTS; i++) {
        ck_assert_uint_eq(slots[i].offset % MARY_ALIGNMENT, 0);
        ck_assert(slots[i].offset + mary_tensor_bytes(&slots[i].tensor) <= plan.arena_bytes);
        for (int j = 0; j < i; j++) {
            if (slots[i].first <= slots[j].last && slots[j].first <= slots[i].last)
                ck_assert_msg(!share_bytes(&slots[i], &slots[j]), "slots %d and %d", i, j);
        }
    }
}
END_TEST

START_TEST(a_chain_needs_two_buffers)
{
    mary_slot slots[10];
    for (int i = 0; i < 10; i++)
        slots[i] = make_slot(i, i + 1, 4096 - MARY_ALIGNMENT);
    mary_plan plan = {.slots = slots, .slot_count = 10};
    assert_ok(mary_plan_place(&plan));
    ck_assert_uint_eq(plan.arena_bytes, 2 * 4096);
}
END_TEST

MARY_TEST_MAIN("runtime/arena", values_that_live_together_do_not_overlap, a_chain_needs_two_buffers)
