// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A profile that a person has edited ('p', then the rule set's text, against a catalogue that is
 * right), or a catalogue ('0' to '4': which file of the toy catalogue, then its text). Whatever is
 * taken is rendered, and what is rendered has to be read again as what it was: a second rendering
 * is the first, byte by byte.
 */
#include <assert.h>
#include <sys/mman.h>
#include "catalogue.h"
#include "lib/catalogue.h"
#include "profile.h"

static char toys[TEST_DIR];
static struct catalogue right;

/* Not by the functions beside these texts: Check's assertions want a test around them. */
static void put(const char *name, const char *text, size_t len)
{
	char path[TEST_PATH];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", toys, name);
	f = fopen(path, "w");
	assert(f && fwrite(text, 1, len, f) == len);
	assert(fclose(f) == 0);
}

static char *rendered(const struct catalogue *c, const char *name, const struct profile_settings *s)
{
	char error[CAT_ERROR], *text = NULL;
	struct profile p;
	size_t len;
	FILE *to;

	if (profile_build(&p, c, name, s, error) < 0) {
		assert(memchr(error, '\0', sizeof(error)) && error[0]);
		return NULL;
	}
	to = open_memstream(&text, &len);
	assert(to && profile_render(&p, to) == 0);
	assert(fclose(to) == 0);
	(void)profile_has_login(&p, error);
	profile_free(&p);
	return text;
}

/* What this text renders to, or NULL where it is refused. */
static char *from_text(const struct catalogue *c, const char *text, size_t len, bool must)
{
	struct profile_settings s = { .n_peers = 0 };
	char name[CAT_WORD], error[CAT_ERROR], path[64], *again = NULL;
	int fd = memfd_create("profile", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (profile_settings_read(&s, name, path, error) == 0)
		again = rendered(c, name, &s);
	assert(again || !must);
	profile_settings_free(&s);
	(void)close(fd);
	return again;
}

static void same_twice(const struct catalogue *c, char *once)
{
	char *twice;

	if (!once)
		return;
	twice = from_text(c, once, strlen(once), true);
	assert(strcmp(once, twice) == 0);
	free(once);
	free(twice);
}

static void fuzz_catalogue(const struct test_file *file, const char *text, size_t len)
{
	const struct profile_settings settled_nothing = { .n_peers = 0 };
	char error[CAT_ERROR];
	struct catalogue c;

	put(file->name, text, len);
	if (catalogue_load(&c, toys, error) == 0) {
		for (size_t i = 0; i < c.n_profiles; i++)
			same_twice(&c, rendered(&c, c.profiles[i].name, &settled_nothing));
		catalogue_free(&c);
	} else {
		assert(memchr(error, '\0', sizeof(error)) && error[0]);
	}
	put(file->name, file->text, strlen(file->text));
}

static void tidy(void)
{
	catalogue_free(&right);
	for (size_t i = 0; i < N_TEST_FILES; i++)
		test_remove(toys, test_files[i].name);
	(void)rmdir(toys);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char error[CAT_ERROR];

	(void)argc;
	(void)argv;
	if (catalogue_load(&right, "rules/catalogue", error) < 0) {
		(void)fprintf(stderr, "%s\n", error);
		abort();
	}
	(void)snprintf(toys, sizeof(toys), "/dev/shm/fuzz-profile-XXXXXX");
	assert(mkdtemp(toys));
	for (size_t i = 0; i < N_TEST_FILES; i++)
		put(test_files[i].name, test_files[i].text, strlen(test_files[i].text));
	(void)atexit(tidy);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (!size)
		return 0;
	if (data[0] == 'p')
		same_twice(&right, from_text(&right, text, size - 1, false));
	else if (data[0] >= '0' && data[0] < '0' + (int)N_TEST_FILES)
		fuzz_catalogue(&test_files[data[0] - '0'], text, size - 1);
	return 0;
}
