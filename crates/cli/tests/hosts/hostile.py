"""Runs a command on a host that lacks something: hostile.py WHAT[,WHAT…] COMMAND…, by a seccomp filter around it."""

import ctypes
import os
import platform
import struct
import sys

ARCH, CLONE, UNSHARE, SECCOMP = {
    "x86_64": (0xC000003E, 56, 272, 317),
    "aarch64": (0xC00000B7, 220, 97, 277),
}[platform.machine()]
CLONE3, NAMESPACES, EPERM, EINVAL, ENOSYS = 435, 0x7E020000, 1, 22, 38

# Call, argument with one of these bits (none: always), what it fails with.
LACKS = {
    # As the default profile of container engines has it for a process without CAP_SYS_ADMIN.
    "namespaces": [(CLONE, 0, NAMESPACES, EPERM), (UNSHARE, 0, NAMESPACES, EPERM), (CLONE3, None, 0, ENOSYS)],
    "landlock": [(number, None, 0, ENOSYS) for number in (444, 445, 446)],
    # As inside a program that serves notifications itself.
    "listener": [(SECCOMP, 1, 8, EINVAL)],
}


def instruction(code, yes, no, value):
    return struct.pack("HBBI", code, yes, no, value)


LOAD, IF_EQUAL, IF_BITS, RETURN, ALLOW = 0x20, 0x15, 0x45, 0x06, 0x7FFF0000
program = [
    instruction(LOAD, 0, 0, 4),
    instruction(IF_EQUAL, 1, 0, ARCH),
    instruction(RETURN, 0, 0, ALLOW),
    instruction(LOAD, 0, 0, 0),
]
for what in sys.argv[1].split(","):
    for call, argument, bits, errno in LACKS[what]:
        fails = instruction(RETURN, 0, 0, 0x50000 | errno)
        if argument is None:
            program += [instruction(IF_EQUAL, 0, 1, call), fails]
        else:
            program += [instruction(IF_EQUAL, 0, 4, call), instruction(LOAD, 0, 0, 16 + 8 * argument)]
            program += [instruction(IF_BITS, 0, 1, bits), fails, instruction(LOAD, 0, 0, 0)]
program.append(instruction(RETURN, 0, 0, ALLOW))

code = ctypes.create_string_buffer(b"".join(program))
whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in ((38, 1, 0, 0, 0), (22, 2, whole, 0, 0)):
    if libc.prctl(*arguments) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
