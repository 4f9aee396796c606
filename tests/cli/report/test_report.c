#include <math.h>
#include <string.h>

#include "cli/report/html.h"
#include "cli/report/json.h"
#include "cli/report/table.h"
#include "tests/support/suite.h"

static char *text;
static size_t length;

static FILE *begin(void)
{
    return open_memstream(&text, &length);
}

static void expect(FILE *file, const char *expected)
{
    fclose(file);
    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(hostile_names_cannot_leave_their_place_in_html)
{
    FILE *file = begin();
    mary_html_text(file, "</td><script>alert('x')</script>\" onload=\"&amp;");
    expect(file, "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;&amp;amp;");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_become_replacement_characters)
{
    static const struct {
        const char *given, *expected;
    } cases[] = {
        {"caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x86\x92 \xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong slash */
        {"\xe2\x86", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* cut off */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xe2<b>", "\xef\xbf\xbd&lt;b&gt;"},                     /* must not swallow the bracket */
        {"a\nb\x1b[31m", "a\xef\xbf\xbd"
                         "b\xef\xbf\xbd[31m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *file = begin();
        mary_html_text(file, cases[i].given);
        expect(file, cases[i].expected);
    }
}
END_TEST

START_TEST(a_whole_report_holds_no_unescaped_name)
{
    char hostile[] = "<img src=x onerror=alert(1)>\"'";
    mary_level_spread spread[2] = {{-1, -0.5f, -0.8}, {0.5f, 1, 0.7}};
    double thresholds[2] = {0.1, 0};
    mary_compared_layer layer = {.node = hostile,
                                 .op = hostile,
                                 .output = hostile,
                                 .mary = true,
                                 .levels = 2,
                                 .bits = 1,
                                 .rows = 3,
                                 .per_row = true,
                                 .weights = 9,
                                 .bytes_before = 36,
                                 .bytes_after = 27,
                                 .histogram = true,
                                 .least = -1,
                                 .most = 1,
                                 .spread = spread,
                                 .thresholds = thresholds};
    layer.bins[5] = 9;
    mary_compared_output output = {.name = hostile};
    mary_validation validation = {.model_count = 2,
                                  .data = hostile,
                                  .samples = 1,
                                  .outputs = &output,
                                  .output_count = 1,
                                  .layers = &layer,
                                  .layer_count = 1,
                                  .max_drop = -1};
    validation.models[0] = validation.models[1] = (mary_validated_model){.path = hostile, .bytes = 10};
    char path[] = "/tmp/mary-report-XXXXXX";
    ck_assert(mkstemp(path) >= 0);
    assert_ok(mary_validation_write_html(&validation, path));
    char html[65536];
    FILE *file = fopen(path, "rb");
    html[fread(html, 1, sizeof html - 1, file)] = '\0';
    fclose(file);
    remove(path);
    ck_assert_ptr_null(strstr(html, "<img"));
    ck_assert_ptr_nonnull(strstr(html, "&lt;img"));
    ck_assert_ptr_null(strstr(html, "<script"));
    ck_assert_ptr_null(strstr(html, "http"));
    ck_assert_ptr_null(strstr(html, "nan"));
    ck_assert_ptr_nonnull(strstr(html, "class=\"threshold\""));
}
END_TEST

START_TEST(histograms_without_a_range_draw_nothing)
{
    mary_compared_layer layer = {.histogram = true, .least = 1, .most = 1};
    FILE *file = begin();
    mary_svg_histogram(file, &layer);
    expect(file, "");
    layer.most = INFINITY;
    file = begin();
    mary_svg_histogram(file, &layer);
    expect(file, "");
}
END_TEST

START_TEST(table_columns_line_up_and_escape_sequences_do_not_pass)
{
    mary_table table;
    mary_table_begin(&table, "<n|>v");
    mary_table_cell(&table, "a\x1b[2J");
    mary_table_cell(&table, "%d", 1);
    mary_table_cell(&table, "\xc3\xa9");
    mary_table_cell(&table, "%d", 123);
    FILE *file = begin();
    assert_ok(mary_table_end(&table, file));
    expect(file, "n        v\na?[2J    1\n\xc3\xa9      123\n");
}
END_TEST

START_TEST(json_has_null_where_there_is_no_number)
{
    json_t *value = mary_json_real(NAN);
    ck_assert(json_is_null(value));
    json_decref(value);
    value = mary_json_real(INFINITY);
    ck_assert(json_is_null(value));
    json_decref(value);
    value = mary_json_text("a\xff");
    ck_assert_str_eq(json_string_value(value), "a?");
    json_decref(value);
}
END_TEST

START_TEST(bytes_read_well_at_every_size)
{
    char buffer[32];
    ck_assert_str_eq(mary_cli_format_bytes(0, buffer, sizeof buffer), "0 B");
    ck_assert_str_eq(mary_cli_format_bytes(999, buffer, sizeof buffer), "999 B");
    ck_assert_str_eq(mary_cli_format_bytes(1000, buffer, sizeof buffer), "1.00 kB");
    ck_assert_str_eq(mary_cli_format_bytes(999999, buffer, sizeof buffer), "1.00 MB");
    ck_assert_str_eq(mary_cli_format_bytes(46.7e6, buffer, sizeof buffer), "46.7 MB");
    ck_assert_str_eq(mary_cli_format_bytes(553e6, buffer, sizeof buffer), "553 MB");
}
END_TEST

MARY_TEST_MAIN("cli/report", hostile_names_cannot_leave_their_place_in_html,
               bytes_that_are_not_utf8_become_replacement_characters, a_whole_report_holds_no_unescaped_name,
               histograms_without_a_range_draw_nothing, table_columns_line_up_and_escape_sequences_do_not_pass,
               json_has_null_where_there_is_no_number, bytes_read_well_at_every_size)
