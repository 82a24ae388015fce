# Objects of System V: `outside` makes some and says which, `inside` does what honest and hostile programs do with its own
# and with those, `leave` makes some and leaves them there.
import ctypes, errno, os, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
libc.shmctl.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
libc.msgsnd.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_int]
libc.msgctl.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
CREAT, EXCL, NOWAIT = 0o1000, 0o2000, 0o4000
RMID, SET, STAT, INFO = 0, 1, 2, 3
KEY = 0x52460000


def call(name, *args):
    value = getattr(libc, name)(*args)
    if value in (-1, None, 2**64 - 1):
        error = ctypes.get_errno()
        if value is not None and error:
            raise OSError(error, os.strerror(error), name)
    return value


def fails(why, name, *args):
    ctypes.set_errno(0)
    try:
        value = call(name, *args)
    except OSError as error:
        assert error.errno in why, (name, args, error)
        return
    raise AssertionError((name, args, value))


def tried(name, *args):
    ctypes.set_errno(0)
    try:
        return call(name, *args)
    except OSError:
        return None


def buffer(size=4096):
    return ctypes.create_string_buffer(size)


def semop(set, number, change, flags=0):
    return call("semop", set, ctypes.create_string_buffer(struct.pack("Hhh", number, change, flags)), 1)


def send(queue, text, kind=1, flags=0):
    return call("msgsnd", queue, ctypes.create_string_buffer(struct.pack("l", kind) + text), len(text), flags)


def receive(queue, kind=0, flags=0):
    into = buffer()
    count = call("msgrcv", queue, into, 4000, kind, flags)
    return into.raw[8:8 + count]


def child(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def ended(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def outside():
    memory = call("shmget", KEY, 4096, CREAT | EXCL | 0o666)
    at = call("shmat", memory, None, 0)
    ctypes.memmove(at, b"theirs", 6)
    set = call("semget", KEY, 2, CREAT | EXCL | 0o666)
    libc.semctl(set, 0, 16, 7)
    queue = call("msgget", KEY, CREAT | EXCL | 0o666)
    send(queue, b"theirs")
    print(memory, set, queue, flush=True)
    sys.stdin.read()
    state = buffer()
    call("shmctl", memory, STAT, state)
    attached = struct.unpack_from("L", state.raw, 88)[0]
    intact = ctypes.string_at(at, 6) == b"theirs" and attached == 1 and libc.semctl(set, 0, 12) == 7
    intact = intact and receive(queue, 0, NOWAIT) == b"theirs"
    libc.shmctl(memory, RMID, None), libc.semctl(set, 0, RMID, 0), libc.msgctl(queue, RMID, None)
    print("intact" if intact else "touched", flush=True)


def memory_is_shared(key):
    memory = call("shmget", key, 10000, CREAT | EXCL | 0o600)
    at = call("shmat", memory, None, 0)

    def by_key():
        assert call("shmget", key, 0, 0) == memory == call("shmget", key, 10000, CREAT | 0o600)
        there = call("shmat", call("shmget", key, 10000, 0o600), None, 0)
        assert ctypes.string_at(there, 2) == b"hi"
        ctypes.memmove(there + 9000, b"ho", 2)
    ctypes.memmove(at, b"hi", 2)
    ended(child(by_key))
    assert ctypes.string_at(at + 9000, 2) == b"ho"
    fails([errno.EEXIST], "shmget", key, 10000, CREAT | EXCL | 0o600)
    fails([errno.EINVAL], "shmget", key, 10001, 0)
    # What is said of it is what would be said without us.
    state = buffer()
    call("shmctl", memory, STAT, state)
    named, uid = struct.unpack_from("iI", state.raw)
    mode = struct.unpack_from("I", state.raw, 20)[0]
    size = struct.unpack_from("L", state.raw, 48)[0]
    maker, attached = struct.unpack_from("i", state.raw, 80)[0], struct.unpack_from("L", state.raw, 88)[0]
    assert (named, uid, mode, size, maker, attached) == (key, os.getuid(), 0o600, 10000, os.getpid(), 1), \
        (named, uid, oct(mode), size, maker, attached)
    fails([errno.EFAULT], "shmctl", memory, STAT, 8)
    call("shmdt", at)
    call("shmctl", memory, STAT, state)
    assert struct.unpack_from("L", state.raw, 88)[0] == 0
    # It can be had again, and what was in it is there, until it is removed.
    there = call("shmat", memory, None, 0o10000)
    assert ctypes.string_at(there, 2) == b"hi"
    call("shmctl", memory, RMID, None)
    fails([errno.ENOENT], "shmget", key, 0, 0)
    # Whoever knows its number can have it as long as somebody has.
    again = call("shmat", memory, None, 0)
    assert ctypes.string_at(there, 2) == ctypes.string_at(again, 2) == b"hi"
    call("shmctl", memory, STAT, state)
    assert struct.unpack_from("I", state.raw, 20)[0] == 0o1600 and struct.unpack_from("L", state.raw, 88)[0] == 2
    call("shmdt", again), call("shmdt", there)
    for _ in range(2):
        fails([errno.EINVAL, errno.EIDRM], "shmat", memory, None, 0)
    fails([errno.EINVAL, errno.EIDRM], "shmctl", memory, STAT, state)
    fresh = call("shmget", key, 4096, CREAT | EXCL | 0o400)
    # Only for reading, and so by its mode.
    fails([errno.EACCES], "shmat", fresh, None, 0)
    fails([errno.EACCES], "shmget", key, 0, 0o600)
    there = call("shmat", fresh, None, 0o10000)
    assert ctypes.string_at(there, 2) == b"\0\0"
    call("shmdt", there)
    call("shmctl", fresh, RMID, None)
    private = [call("shmget", 0, 4096, 0o600) for _ in range(2)]
    assert private[0] != private[1]
    there = call("shmat", private[0], None, 0)
    for id in private:
        call("shmctl", id, RMID, None)
    ctypes.memmove(there, b"x", 1)
    call("shmdt", there)


def semaphores_are_shared(key):
    set = call("semget", key, 3, CREAT | EXCL | 0o600)
    assert call("semget", key, 0, 0) == set
    fails([errno.EINVAL], "semget", key, 4, 0)
    done = []

    def waits():
        semop(call("semget", key, 3, 0), 1, -1)
        # Given back by the kernel when this ends.
        semop(set, 2, 5, 0o10000)
        assert libc.semctl(set, 2, 12) == 5
    waiting = child(waits)
    time.sleep(0.1)
    assert os.waitpid(waiting, os.WNOHANG) == (0, 0)
    assert libc.semctl(set, 1, 14) == 1, "somebody waits"
    semop(set, 1, 1)
    ended(waiting)
    assert libc.semctl(set, 2, 12) == 0

    def interrupted():
        try:
            semop(set, 0, -1)
        except OSError as error:
            assert error.errno in (errno.EIDRM, errno.EINVAL), error
            return
        raise AssertionError("not removed")
    waiting = child(interrupted)
    time.sleep(0.1)
    call("semctl", set, 0, RMID, 0)
    ended(waiting)
    fails([errno.EINVAL, errno.EIDRM], "semctl", set, 0, 12)


def queues_are_shared(key):
    queue = call("msgget", key, CREAT | EXCL | 0o600)
    assert call("msgget", key, 0) == queue
    sending = child(lambda: send(call("msgget", key, 0), b"hello"))
    assert receive(queue) == b"hello"
    ended(sending)
    fails([errno.ENOMSG], "msgrcv", queue, buffer(), 10, 0, NOWAIT)
    call("msgctl", queue, STAT, buffer())
    call("msgctl", queue, RMID, None)


def theirs_are_out_of_reach(memory, set, queue):
    gone = [errno.EINVAL, errno.EIDRM]
    for name in ("shmget", "semget"):
        fails([errno.ENOENT], name, KEY, 0, 0)
    fails([errno.ENOENT], "msgget", KEY, 0)
    # What is made under their key is another.
    own = call("shmget", KEY, 4096, CREAT | EXCL | 0o600)
    at = call("shmat", own, None, 0)
    assert ctypes.string_at(at, 6) == b"\0" * 6
    call("shmdt", at), call("shmctl", own, RMID, None)
    own = call("semget", KEY, 2, CREAT | EXCL | 0o600)
    assert libc.semctl(own, 0, 12) == 0
    call("semctl", own, 0, RMID, 0)
    own = call("msgget", KEY, CREAT | 0o600)
    fails([errno.ENOMSG], "msgrcv", own, buffer(), 10, 0, NOWAIT)
    call("msgctl", own, RMID, None)
    for flags in (0, 0o10000, 0o100000):
        fails(gone, "shmat", memory, None, flags)
    for command in (RMID, SET, STAT, 11, 12):
        fails(gone, "shmctl", memory, command, buffer())
    for command in [RMID, SET, STAT] + list(range(11, 18)):
        fails(gone, "semctl", set, 0, command, 0 if command == 16 else buffer())
    for command in (RMID, SET, STAT):
        fails(gone, "msgctl", queue, command, buffer())
    fails(gone, "semop", set, struct.pack("Hhh", 0, -1, NOWAIT), 1)
    fails(gone, "msgsnd", queue, struct.pack("lQ", 1, 1), 8, NOWAIT)
    fails(gone, "msgrcv", queue, buffer(), 8, 0, NOWAIT)
    # By place in the kernel's table, and by guessing numbers.
    for place in range(300):
        for name, command in [("shmctl", 13), ("shmctl", 15), ("msgctl", 11), ("msgctl", 13)]:
            assert tried(name, place, command, buffer()) is None, (name, place)
        for command in (18, 20):
            assert tried("semctl", place, 0, command, buffer()) is None, place
    for near, attach in ((memory, True), (set, False), (queue, False)):
        for id in list(range(max(0, near - 300), near + 300)) + list(range(0, 1 << 21, 1 << 15)):
            if attach:
                assert tried("shmat", id, None, 0o10000) is None, id
            assert tried("shmctl", id, STAT, buffer()) is None, id
            assert tried("semctl", id, 0, STAT, buffer()) is None, id
            assert tried("msgctl", id, STAT, buffer()) is None, id


def inside(*theirs):
    memory_is_shared(KEY + 1)
    semaphores_are_shared(KEY + 1)
    queues_are_shared(KEY + 1)
    # With a key of the host's, the same.
    memory_is_shared(KEY)
    semaphores_are_shared(KEY)
    queues_are_shared(KEY)
    theirs_are_out_of_reach(*map(int, theirs))
    leave()


def leave():
    for key in (0, KEY, KEY + 2):
        memory = call("shmget", key, 4096, CREAT | 0o600)
        ctypes.memmove(call("shmat", memory, None, 0), b"x", 1)
        call("shmget", key + 100, 4096, CREAT | 0o600)
        call("semget", key, 1, CREAT | 0o600)
        send(call("msgget", key, CREAT | 0o600), b"left")
    print("done", flush=True)


globals()[sys.argv[1]](*sys.argv[2:])
