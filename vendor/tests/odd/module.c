/* A PKCS #11 module of one token that behaves in the ways that its C_Initialize is asked for, by words in a
 * string where Kryoptic (pReserved) or NSS (LibraryParameters) take one:
 *
 *   locks-not        C_Initialize refuses CKF_OS_LOCKING_OK
 *   never-ends       C_Finalize fails
 *   half-way         C_Initialize fails once and is half done
 *   tandem           says that it is Tandem
 *   slow             C_GenerateRandom takes its time
 *   hangs            C_GenerateRandom returns when C_SeedRandom has been called, or after a quarter of a minute
 *   one-handle       every session gets the same handle, as after a device has lost them without a word
 *   is-nss           the string must have come as NSS takes it
 *
 * It notes when two calls overlap (C_GenerateRandom), or C_Finalize or C_CloseSession a call:
 * CKR_FUNCTION_FAILED.
 * C_GetInterface is there and always fails. Much is missing. */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
enum {
    OK = 0, GENERAL_ERROR = 5, FUNCTION_FAILED = 6, ARGUMENTS_BAD = 7, CANT_LOCK = 10,
    SESSION_HANDLE_INVALID = 0xb3, NOT_INITIALIZED = 0x190, ALREADY_INITIALIZED = 0x191
};

typedef struct { void *mutexes[4]; ulong flags; char *first; char *second; } Arguments;
typedef struct { unsigned char major, minor; } Version;
typedef struct { Version spec; char maker[32]; ulong flags; char text[32]; Version own; } Info;
typedef struct {
    char label[32], maker[32], model[16], serial[16];
    ulong flags, numbers[10];
    Version hardware, firmware;
    char time[16];
} TokenInfo;

static char wanted[256];
static atomic_int up, inside, overlapped, seeded, failed, sessions;

static int wants(const char *word) { return strstr(wanted, word) != NULL; }
static void pad(char *to, size_t len, const char *text) {
    memset(to, ' ', len);
    memcpy(to, text, strlen(text));
}

static ulong initialise(Arguments *arguments) {
    /* LibraryParameters stands where pReserved does: what comes after it tells them apart. */
    const char *text = arguments && arguments->first ? arguments->first : "";
    strncpy(wanted, text, sizeof wanted - 1);
    if (wants("is-nss") && arguments->second) return ARGUMENTS_BAD;
    if (wants("locks-not") && (arguments->flags & 2)) return CANT_LOCK;
    if (atomic_exchange(&up, 1)) return ALREADY_INITIALIZED;
    if (wants("half-way") && !atomic_exchange(&failed, 1)) return GENERAL_ERROR;
    return OK;
}
static ulong finalise(void *reserved) {
    if (reserved) return ARGUMENTS_BAD;
    if (!up) return NOT_INITIALIZED;
    if (inside) atomic_store(&overlapped, 1);
    if (wants("never-ends")) return FUNCTION_FAILED;
    up = sessions = seeded = 0;
    return OK;
}
static ulong info(Info *info) {
    memset(info, 0, sizeof *info);
    pad(info->maker, 32, "Odd");
    pad(info->text, 32, wants("tandem") ? "Tandem" : "Odd");
    info->own.major = 1;
    return up ? OK : NOT_INITIALIZED;
}
static ulong slots(unsigned char present, ulong *slots, ulong *count) {
    (void)present;
    if (slots) *slots = 7;
    *count = 1;
    return OK;
}
static ulong token(ulong slot, TokenInfo *info) {
    (void)slot;
    memset(info, 0, sizeof *info);
    pad(info->label, 32, "odd");
    pad(info->maker, 32, "Odd");
    pad(info->model, 16, "Odd");
    /* Each instance is another token. */
    static const char digits[] = "0123456789abcdef";
    memset(info->serial, ' ', 16);
    for (int i = 0; i < 16; i++) info->serial[i] = digits[((size_t)wanted >> (60 - 4 * i)) & 15];
    info->flags = 0x400;
    return OK;
}
static ulong open_session(ulong slot, ulong flags, void *a, void *b, ulong *session) {
    (void)slot, (void)flags, (void)a, (void)b;
    /* The same handles again in each life. */
    *session = wants("one-handle") ? 1 : (ulong)++sessions;
    if (wants("one-handle")) sessions = 1;
    return OK;
}
static ulong close_session(ulong session) {
    if (inside) atomic_store(&overlapped, 1);
    return session <= (ulong)sessions ? OK : SESSION_HANDLE_INVALID;
}
static ulong randomly(ulong session, unsigned char *to, ulong len) {
    (void)session;
    if (inside++) atomic_store(&overlapped, 1);
    if (wants("slow")) usleep(20000);
    for (int ms = 0; wants("hangs") && !seeded && ms < 15000; ms++) usleep(1000);
    memset(to, 4, len);
    inside--;
    return overlapped ? FUNCTION_FAILED : OK;
}
static ulong seed(ulong session, unsigned char *from, ulong len) {
    (void)session, (void)from, (void)len;
    seeded = 1;
    return OK;
}

static struct { Version version; void *functions[68]; } list = {
    {2, 40},
    {
        [0] = initialise, [1] = finalise, [2] = info, [4] = slots, [6] = token, [12] = open_session,
        [13] = close_session, [63] = seed, [64] = randomly,
    },
};
ulong C_GetFunctionList(void **to) { *to = &list; return OK; }
ulong C_GetInterface(void *name, void *version, void **to, ulong flags) {
    (void)name, (void)version, (void)to, (void)flags;
    return FUNCTION_FAILED;
}
