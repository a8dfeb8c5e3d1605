/*
 * Runs a fuzz target over files without libFuzzer: each argument is a file or a directory of files.
 * The ordinary test run replays the corpus and every past crash with it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, long size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    uint8_t *data = malloc((size_t)size + 1);
    size_t got = data == NULL ? 0 : fread(data, 1, (size_t)size, file);
    fclose(file);
    if (data == NULL || got != (size_t)size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return 1;
    }
    LLVMFuzzerTestOneInput(data, got);
    free(data);
    return 0;
}

static int replay(const char *path, unsigned *ret_count)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return 0; /* no regression yet: git keeps no empty directory */
    }
    if (!S_ISDIR(status.st_mode)) {
        ++*ret_count;
        return replay_file(path, (long)status.st_size);
    }
    DIR *directory = opendir(path);
    int failures = directory == NULL;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char child[4096];
        if (entry->d_name[0] != '.') {
            snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
            failures += replay(child, ret_count);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return failures;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int failures = 0;
    for (int i = 1; i < argc; i++) {
        failures += replay(argv[i], &count);
    }
    printf("%u inputs replayed\n", count);
    return failures != 0 || count == 0;
}
