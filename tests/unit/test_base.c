/* test_base.c — the accounted heap, text, lists, the reader, UTF-8, files, writers, locks, hashes, the machine. */
#include "base/hash.h"
#include "base/os.h"
#include "base/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory ------------------------------------------------------------------------------ */

static void test_memory_is_accounted(void **state)
{
    struct memory m = {0};
    char *a = mem_alloc(&m, 100);
    assert_true((uintptr_t)a % 64 == 0);
    for (int i = 0; i < 100; i++) assert_int_equal(a[i], 0);
    size_t one = m.used;
    assert_true(one >= 100);
    memset(a, 7, 100);
    a = mem_resize(&m, a, 1000);
    assert_int_equal(a[99], 7);
    for (int i = 100; i < 1000; i++) assert_int_equal(a[i], 0);
    assert_true(m.used >= 1000 && m.used < one + 1200);
    assert_true(m.peak >= m.used);
    assert_int_equal(m.calls, 2);
    mem_free(&m, a);
    mem_free(&m, NULL);
    assert_int_equal(m.used, 0);
}

static void test_memory_limit(void **state)
{
    struct memory m = {.limit = 4096};
    assert_null(mem_alloc(&m, 5000));
    assert_null(mem_alloc(&m, SIZE_MAX));
    assert_null(mem_array(&m, SIZE_MAX / 2, 3));
    assert_int_equal(m.used, 0);
    char *a = mem_alloc(&m, 2000);
    assert_non_null(a);
    assert_null(mem_resize(&m, a, 4000)); /* the old block stays */
    memset(a, 1, 2000);
    mem_free(&m, a);
    assert_int_equal(m.used, 0);
    assert_true(m.peak >= 2000);
}

static void test_sizes_do_not_overflow(void **state)
{
    size_t x;
    assert_true(size_mul(1u << 20, 1u << 20, &x) && x == (size_t)1 << 40);
    assert_false(size_mul(SIZE_MAX, 2, &x));
    assert_true(size_add(SIZE_MAX - 1, 1, &x) && x == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &x));
}

static void test_text(void **state)
{
    struct memory m = {0};
    struct text t = {.memory = &m};
    for (int i = 0; i < 1000; i++) text_printf(&t, "%d,", i);
    text_add(&t, "a\0b", 3);
    assert_int_equal(t.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(t.data, "0,1,2,", 6);
    assert_int_equal(t.data[t.length], 0);
    size_t length = t.length;
    char *copy = text_release(&t);
    assert_memory_equal(copy + length - 3, "a\0b", 4);
    lorac_free(copy);
    assert_int_equal(m.used, 0);

    m.limit = 1024;
    for (int i = 0; i < 1000; i++) text_puts(&t, "xxxx");
    assert_true(t.failed);
    assert_null(text_release(&t));
    assert_int_equal(m.used, 0);
}

static void test_list(void **state)
{
    struct memory m = {0};
    struct list l = {.memory = &m, .size = sizeof(int)};
    for (int i = 0; i < 1000; i++) {
        int *slot = list_add(&l);
        assert_int_equal(*slot, 0);
        *slot = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(((int *)l.items)[i], i);
    list_free(&l);
    assert_int_equal(m.used, 0);
    m.limit = 512;
    int added = 0;
    while (list_add(&l)) added++;
    assert_in_range(added, 16, 127);
    list_free(&l);
    assert_int_equal(m.used, 0);
}

static void test_errors_say_file_and_reason(void **state)
{
    lorac_error err;
    errno = ENOENT;
    assert_int_equal(fail_errno(&err, "a/b", "open"), LORAC_NOT_FOUND);
    assert_string_equal(err.message, "a/b: cannot open: No such file or directory");
    assert_int_equal((fail)(NULL, LORAC_FORMAT, NULL, "unheard"), LORAC_FORMAT);
    char name[2000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    (fail)(&err, LORAC_FORMAT, name, "%s", name); /* cut, not overrun; cmocka has a macro of that name */
    assert_true(strlen(err.message) < sizeof err.message);
}

/* ---- reader and UTF-8 -------------------------------------------------------------------- */

static void test_reader(void **state)
{
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    struct reader r = {.data = bytes, .size = sizeof bytes};
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0302);
    assert_int_equal(reader_u32(&r), 0x07060504);
    assert_true(reader_u64(&r) == 0x0F0E0D0C0B0A0908u);
    assert_int_equal(reader_left(&r), 1);
    assert_null(reader_take(&r, SIZE_MAX));
    assert_true(r.failed);
    assert_int_equal(reader_u8(&r), 0); /* once failed, always failed */
    assert_int_equal(reader_left(&r), 0);
}

static void test_utf8_round_trip(void **state)
{
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        char bytes[4];
        uint32_t back = 0;
        size_t length = utf8_encode(code, bytes);
        if (utf8_decode((uint8_t *)bytes, length, &back) != length || back != code) fail_msg("U+%04X", (unsigned)code);
        if (utf8_length((uint8_t *)bytes, length - 1) != 0) fail_msg("U+%04X cut short", (unsigned)code);
    }
}

static void test_utf8_refuses(void **state)
{
    const char *bad[] = {"\x80",
                         "\xBF",
                         "\xC0\x80",
                         "\xC1\xBF",
                         "\xE0\x80\x80",
                         "\xE0\x9F\xBF",
                         "\xED\xA0\x80",
                         "\xED\xBF\xBF",
                         "\xF0\x80\x80\x80",
                         "\xF0\x8F\xBF\xBF",
                         "\xF4\x90\x80\x80",
                         "\xF5\x80\x80\x80",
                         "\xFF",
                         "\xC2"
                         "a",
                         "\xE2\x82"
                         "a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(utf8_length((const uint8_t *)bad[i], strlen(bad[i])), 0);
}

/* ---- files ------------------------------------------------------------------------------- */

/* Every test gets an empty folder of its own and frees all it took. */
struct place {
    struct memory memory;
    lorac_error err;
    char folder[64];
    char path[128];
};

static int begin(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->folder, "test_base.XXXXXX");
    if (!p || !mkdtemp(p->folder)) return -1;
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct place *p = *state;
    size_t left = p->memory.used;
    lorac_status status = os_remove_tree(&p->memory, p->folder, &p->err);
    free(p);
    return left || status != LORAC_OK ? -1 : 0;
}

static const char *in(struct place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->folder, name);
    return p->path;
}

static size_t count_entries(struct place *p)
{
    char **names;
    size_t count;
    assert_int_equal(os_list(&p->memory, p->folder, &names, &count, &p->err), LORAC_OK);
    os_names_free(&p->memory, names, count);
    return count;
}

static void assert_content(struct place *p, const char *name, const char *expected)
{
    char *bytes;
    size_t size;
    assert_int_equal(os_read(&p->memory, in(p, name), 1000, &bytes, &size, &p->err), LORAC_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(bytes, expected);
    mem_free(&p->memory, bytes);
}

static void test_read(void **state)
{
    struct place *p = *state;
    assert_int_equal(os_write_whole(&p->memory, in(p, "f"), "hello", 5, &p->err), LORAC_OK);
    assert_content(p, "f", "hello");
    for (int map = 0; map < 2; map++) {
        struct os_file file;
        assert_int_equal(os_file_open(&p->memory, in(p, "f"), map, &file, &p->err), LORAC_OK);
        assert_int_equal(file.mapped, map);
        assert_int_equal(file.size, 5);
        assert_memory_equal(file.data, "hello", 5);
        os_file_close(&file);
        os_file_close(&file);
    }
    assert_int_equal(os_write_whole(&p->memory, in(p, "empty"), "", 0, &p->err), LORAC_OK);
    struct os_file empty;
    assert_int_equal(os_file_open(&p->memory, in(p, "empty"), true, &empty, &p->err), LORAC_OK);
    assert_int_equal(empty.size, 0);
    os_file_close(&empty);
    assert_true(os_is_file(in(p, "f")) && !os_is_folder(p->path) && os_is_folder(p->folder));
    assert_false(os_is_file(in(p, "missing")));
}

static void test_read_refuses(void **state)
{
    struct place *p = *state;
    char *bytes;
    size_t size;
    os_write_whole(&p->memory, in(p, "f"), "hello", 5, &p->err);
    assert_int_equal(os_read(&p->memory, p->path, 4, &bytes, &size, &p->err), LORAC_FORMAT);
    assert_int_equal(os_read(&p->memory, in(p, "missing"), 4, &bytes, &size, &p->err), LORAC_NOT_FOUND);
    assert_non_null(strstr(p->err.message, "missing"));
    assert_int_equal(os_read(&p->memory, p->folder, 1 << 20, &bytes, &size, &p->err), LORAC_IO);
    assert_non_null(strstr(p->err.message, "folder"));
    assert_int_equal(mkfifo(in(p, "pipe"), 0600), 0);
    assert_int_equal(os_read(&p->memory, p->path, 4, &bytes, &size, &p->err), LORAC_IO);
    p->memory.limit = 1;
    assert_int_equal(os_read(&p->memory, in(p, "f"), 10, &bytes, &size, &p->err), LORAC_OUT_OF_MEMORY);
    p->memory.limit = 0;
}

static void test_list_is_sorted(void **state)
{
    struct place *p = *state;
    const char *names[] = {"b", "a", "\xC3\xA9", "Z"}, *sorted[] = {"Z", "a", "b", "\xC3\xA9"};
    for (int i = 0; i < 4; i++) os_write_whole(&p->memory, in(p, names[i]), "", 0, &p->err);
    char **found;
    size_t count;
    assert_int_equal(os_list(&p->memory, p->folder, &found, &count, &p->err), LORAC_OK);
    assert_int_equal(count, 4);
    for (int i = 0; i < 4; i++) assert_string_equal(found[i], sorted[i]);
    os_names_free(&p->memory, found, count);
    assert_int_equal(os_list(&p->memory, in(p, "none"), &found, &count, &p->err), LORAC_NOT_FOUND);
    char *joined = os_join(&p->memory, "x/", "y");
    assert_string_equal(joined, "x/y");
    mem_free(&p->memory, joined);
}

static void test_writer_replaces_whole(void **state)
{
    struct place *p = *state;
    struct os_writer w;
    assert_int_equal(os_write_whole(&p->memory, in(p, "f"), "old", 3, &p->err), LORAC_OK);
    assert_int_equal(os_writer_open(&p->memory, p->path, &w, &p->err), LORAC_OK);
    os_writer_write(&w, "ne", 2);
    assert_content(p, "f", "old"); /* until the commit */
    os_writer_write(&w, "w", 1);
    assert_int_equal(os_writer_commit(&w, &p->err), LORAC_OK);
    assert_content(p, "f", "new");
    assert_int_equal(os_writer_open(&p->memory, p->path, &w, &p->err), LORAC_OK);
    os_writer_write(&w, "third", 5);
    os_writer_abort(&w);
    os_writer_abort(&w);
    assert_content(p, "f", "new");
    assert_int_equal(count_entries(p), 1);
}

/* A full disk is played by a limit on the file's size: write() then fails in the middle of the file. */
static void test_failed_write_leaves_the_old_file(void **state)
{
    struct place *p = *state;
    struct rlimit old, small;
    static char bytes[100000];
    assert_int_equal(os_write_whole(&p->memory, in(p, "f"), "old", 3, &p->err), LORAC_OK);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 50000;
    setrlimit(RLIMIT_FSIZE, &small);
    lorac_status status = os_write_whole(&p->memory, p->path, bytes, sizeof bytes, &p->err);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, LORAC_IO);
    assert_non_null(strstr(p->err.message, "cannot write"));
    assert_content(p, "f", "old");
    assert_int_equal(count_entries(p), 1);
    assert_int_equal(p->memory.used, 0);
}

static void test_writer_refuses(void **state)
{
    struct place *p = *state;
    struct os_writer w;
    os_write_whole(&p->memory, in(p, "f"), "old", 3, &p->err);
    assert_int_equal(os_writer_open(&p->memory, in(p, "f/below"), &w, &p->err), LORAC_IO); /* root fails here too */
    assert_int_equal(os_writer_open(&p->memory, in(p, "no/such"), &w, &p->err), LORAC_NOT_FOUND);
    assert_int_equal(os_writer_open(&p->memory, p->folder, &w, &p->err), LORAC_IO);
    assert_int_equal(os_writer_open(&p->memory, "/dev/null", &w, &p->err), LORAC_IO);
    assert_int_equal(os_make_folder(in(p, "f/below"), &p->err), LORAC_IO);
    assert_int_equal(os_append(in(p, "f/below"), "x", 1, &p->err), LORAC_IO);
    if (geteuid() != 0) { /* root may write anywhere */
        chmod(p->folder, 0500);
        lorac_status status = os_write_whole(&p->memory, in(p, "f"), "new", 3, &p->err);
        chmod(p->folder, 0700);
        assert_int_equal(status, LORAC_IO);
        assert_content(p, "f", "old");
    }
    assert_int_equal(count_entries(p), 1);
}

static void test_append_copy_rename(void **state)
{
    struct place *p = *state;
    char to[128];
    assert_int_equal(os_append(in(p, "log"), "one\n", 4, &p->err), LORAC_OK);
    assert_int_equal(os_append(p->path, "two\n", 4, &p->err), LORAC_OK);
    assert_content(p, "log", "one\ntwo\n");
    snprintf(to, sizeof to, "%s/copy", p->folder);
    assert_int_equal(os_copy_file(&p->memory, in(p, "log"), to, &p->err), LORAC_OK);
    assert_content(p, "copy", "one\ntwo\n");
    assert_int_equal(os_write_whole(&p->memory, in(p, "log"), "new", 3, &p->err), LORAC_OK);
    assert_int_equal(os_rename(in(p, "log"), to, &p->err), LORAC_OK);
    assert_content(p, "copy", "new");
    assert_int_equal(count_entries(p), 1);
    assert_int_equal(os_rename(in(p, "log"), to, &p->err), LORAC_NOT_FOUND);
}

static void test_remove_tree_follows_no_link(void **state)
{
    struct place *p = *state;
    assert_int_equal(os_make_folder(in(p, "tree/a/b//c/"), &p->err), LORAC_OK);
    assert_int_equal(os_make_folder(p->path, &p->err), LORAC_OK);
    assert_int_equal(os_make_folder(in(p, "kept"), &p->err), LORAC_OK);
    os_write_whole(&p->memory, in(p, "kept/f"), "safe", 4, &p->err);
    os_write_whole(&p->memory, in(p, "tree/a/f"), "gone", 4, &p->err);
    assert_int_equal(symlink("../kept", in(p, "tree/link")), 0);
    assert_int_equal(symlink("kept", in(p, "link")), 0);
    assert_int_equal(os_remove_tree(&p->memory, in(p, "tree"), &p->err), LORAC_OK);
    assert_int_equal(os_remove_tree(&p->memory, in(p, "link/"), &p->err), LORAC_OK); /* the link, not its target */
    assert_content(p, "kept/f", "safe");
    assert_int_equal(count_entries(p), 1);
    assert_int_equal(os_remove_tree(&p->memory, in(p, "tree"), &p->err), LORAC_NOT_FOUND);
}

static void test_lock_excludes(void **state)
{
    struct place *p = *state;
    int first, second;
    assert_int_equal(os_lock(p->folder, "lock", &first, &p->err), LORAC_OK);
    assert_int_equal(os_lock(p->folder, "lock", &second, &p->err), LORAC_IO);
    assert_non_null(strstr(p->err.message, "in use"));
    os_unlock(first);
    assert_int_equal(os_lock(p->folder, "lock", &second, &p->err), LORAC_OK);
    os_unlock(second);
    os_unlock(-1);
}

/* ---- hash -------------------------------------------------------------------------------- */

static void test_sha256(void **state)
{
    /* FIPS 180-2, appendix B.1 and B.2 */
    const char *text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    uint8_t digest[HASH_BYTES];
    char name[HASH_TEXT];
    assert_int_equal(hash_bytes("abc", 3, digest, NULL), LORAC_OK);
    hash_text(digest, name);
    assert_string_equal(name, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct hash h;
    assert_int_equal(hash_begin(&h, NULL), LORAC_OK);
    for (size_t i = 0; i < strlen(text); i++) hash_add(&h, text + i, 1);
    hash_end(&h, digest);
    hash_text(digest, name);
    assert_string_equal(name, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* ---- the machine ------------------------------------------------------------------------- */

static void test_machine(void **state)
{
    char name[64];
    os_cpu_name(name, sizeof name);
    int threads = os_default_threads();
    printf("%s, %d threads, %zu MiB, resident %zu KiB, peak %zu KiB\n", name, threads, os_physical_memory() >> 20,
           os_resident_bytes() >> 10, os_peak_resident_bytes() >> 10);
    assert_true(*name && !strchr(name, '\n'));
    assert_in_range(threads, 1, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(os_physical_memory() > (64u << 20));
    assert_true(os_resident_bytes() > 0);
    double before = os_seconds();
    usleep(2000);
    assert_true(os_seconds() - before >= 0.002 && os_seconds() - before < 10);
}

static void test_peak_sees_a_block_and_resets(void **state)
{
    size_t size = 64u << 20, before = os_resident_bytes();
    char *block = malloc(size);
    memset(block, 1, size);
    assert_true(os_peak_resident_bytes() >= before + size * 9 / 10);
    assert_int_equal(block[size / 2], 1);
    free(block);
    size_t high = os_peak_resident_bytes();
    os_reset_peak_resident_bytes();
    assert_true(os_peak_resident_bytes() <= high); /* a container may forbid the reset */
}

#if defined(__linux__)
static void test_threads_follow_affinity(void **state)
{
    cpu_set_t all, one;
    int cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    while (!CPU_ISSET((size_t)cpu, &all)) cpu++;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int threads = os_default_threads();
    sched_setaffinity(0, sizeof all, &all);
    assert_int_equal(threads, 1);
}
#endif

#define with_place(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_accounted),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_sizes_do_not_overflow),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_errors_say_file_and_reason),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_utf8_round_trip),
        cmocka_unit_test(test_utf8_refuses),
        with_place(test_read),
        with_place(test_read_refuses),
        with_place(test_list_is_sorted),
        with_place(test_writer_replaces_whole),
        with_place(test_failed_write_leaves_the_old_file),
        with_place(test_writer_refuses),
        with_place(test_append_copy_rename),
        with_place(test_remove_tree_follows_no_link),
        with_place(test_lock_excludes),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_peak_sees_a_block_and_resets),
#if defined(__linux__)
        cmocka_unit_test(test_threads_follow_affinity),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
