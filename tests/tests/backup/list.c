/* Lists the labels of what Tandem finds by CKA_TANDEM_BACKED_UP, as a signer would that checks for itself:
 *
 *     list MODULE PIN yes|no|any
 *
 * A line for each object: its class, and its label. The attribute of what is found is read back, and must be what was looked for.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11.h"
#include "tandem-pkcs11.h"

static void check(const char *what, CK_RV rv) {
    if (rv != CKR_OK) {
        fprintf(stderr, "%s: 0x%lx\n", what, (unsigned long)rv);
        exit(1);
    }
}

static void show(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, int wanted) {
    CK_OBJECT_CLASS class = 0;
    char label[256];
    CK_BBOOL backed_up = 2;
    CK_ATTRIBUTE read[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_LABEL, label, sizeof label},
        {CKA_TANDEM_BACKED_UP, &backed_up, sizeof backed_up},
    };
    check("C_GetAttributeValue", p11->C_GetAttributeValue(session, object, read, 3));
    if (wanted >= 0 && backed_up != wanted) {
        fprintf(stderr, "found by %d, and shows %d\n", wanted, backed_up);
        exit(1);
    }
    printf("%lu %.*s\n", (unsigned long)class, (int)read[1].ulValueLen, label);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int wanted = !strcmp(argv[3], "yes") ? 1 : !strcmp(argv[3], "no") ? 0 : -1;
    void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    CK_RV (*list)(CK_FUNCTION_LIST **) = (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList");
    CK_FUNCTION_LIST *p11;
    check("C_GetFunctionList", list(&p11));
    check("C_Initialize", p11->C_Initialize(NULL));
    CK_SLOT_ID slot;
    CK_ULONG slots = 1;
    check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, &slot, &slots));
    CK_SESSION_HANDLE session;
    check("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session));
    check("C_Login", p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)argv[2], strlen(argv[2])));
    CK_BBOOL flag = (CK_BBOOL)(wanted > 0);
    CK_ATTRIBUTE by[] = {{CKA_TANDEM_BACKED_UP, &flag, sizeof flag}};
    check("C_FindObjectsInit", p11->C_FindObjectsInit(session, by, wanted >= 0 ? 1 : 0));
    CK_OBJECT_HANDLE object;
    CK_ULONG found;
    for (;;) {
        check("C_FindObjects", p11->C_FindObjects(session, &object, 1, &found));
        if (!found) break;
        show(p11, session, object, wanted);
    }
    check("C_FindObjectsFinal", p11->C_FindObjectsFinal(session));
    check("C_Finalize", p11->C_Finalize(NULL));
    return 0;
}
