# Memory of trackers and of scans, and the numbers that are checked before they reach C.


PAGES_FROM = 65536  # bytes; a larger block is pages of its own
PRIVATE_PAGES = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


cdef class Aligned:
    """Memory that begins at a cache line, all zero.

    A large block is pages of its own: the system gives those that were never written no memory. What an allocator had given to
    something else before, it would have to clear, and a tracker would take the memory of all the tracks that it has room for."""
    cdef void *block
    cdef Py_buffer pages
    cdef bint has_pages
    cdef char *start
    cdef size_t size

    def __cinit__(self, size_t size):
        self.size = size
        if size >= PAGES_FROM:
            try:
                pages = mmap.mmap(-1, size, **PRIVATE_PAGES)
            except OSError as error:
                raise MemoryError(f"{size} bytes: {error}") from None
            PyObject_GetBuffer(pages, &self.pages, PyBUF_WRITABLE)
            self.has_pages = True
            self.start = <char *>self.pages.buf
            return
        self.block = PyMem_Calloc(1, size + CACHE_LINE)
        if self.block == NULL:
            raise MemoryError
        self.start = <char *>((<uintptr_t>self.block + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)

    def __dealloc__(self):
        if self.has_pages:
            PyBuffer_Release(&self.pages)
        PyMem_Free(self.block)


cdef list SCRATCH = []  # working memory: one block per thread that updates at a time, whatever the number of trackers


cdef Aligned borrow(size_t size):
    cdef Aligned scratch = SCRATCH.pop() if SCRATCH else None
    if scratch is None or scratch.size < size:
        scratch = Aligned(size + size // 2)
    return scratch


cdef int check_source(int index) except -1:
    if not 0 <= index < SOURCES:
        raise ValueError(f"source {index}: sources are numbered 0..{SOURCES - 1}")
    return 0


cdef int check_time(int64_t t) except -1:
    if not -MAX_TIME <= t <= MAX_TIME:
        raise ValueError(f"t = {t}: must be within {MAX_TIME} ns of the epoch")
    return 0


cdef int32_t count_rows(Py_ssize_t size) except -1:
    """Return how many detections so many bytes are."""
    if size % <Py_ssize_t>sizeof(detection_t) or size // <Py_ssize_t>sizeof(detection_t) > MAX_SCAN:
        raise ValueError(f"{size} bytes: a scan is up to {MAX_SCAN} detections of {sizeof(detection_t)} bytes")
    return <int32_t>(size // <Py_ssize_t>sizeof(detection_t))


cdef int get_rows(rows, Py_buffer *buffer) except -1:
    """Get the rows' memory, of a copy where they are not aligned as a double must be."""
    PyObject_GetBuffer(rows, buffer, PyBUF_SIMPLE)
    if <uintptr_t>buffer.buf % sizeof(double):
        PyBuffer_Release(buffer)
        PyObject_GetBuffer(np.array(np.frombuffer(rows, np.uint8)), buffer, PyBUF_SIMPLE)
    return 0
