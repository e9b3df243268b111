"""Names for C++: what may not be the name of a namespace."""

from __future__ import annotations

import re

__all__ = ["identifier"]

KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class
    co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype
    default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int
    long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template
    this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
    while xor xor_eq
"""
# Of the C library, which declares them outside namespaces, and of compilers and systems.
DECLARED = """
    abort abs access acos acosh alarm asctime asin asinh assert atan atan2 atanh atexit atof atoi atol atoll bcmp
    bcopy brk bsearch bzero calloc cbrt ceil chdir clearerr clock close copysign cos cosh ctime daylight difftime
    div drem dup EOF erf erfc errno execl execv exit exp exp10 exp2 expm1 fabs fclose fdim feof ferror fflush fgetc
    fgets finite floor fma fmax fmin fmod fopen fork fprintf fputc fputs fread free freopen frexp fscanf fseek ftell
    fwrite gamma getc getchar getenv getline getpid gmtime hypot i386 ilogb index INFINITY isinf isnan j0 j1 jn kill
    labs ldexp ldiv lgamma link linux llabs lldiv llrint llround localtime log log10 log1p log2 logb lrint lround
    lseek malloc mblen memchr memcmp memcpy memmove memset mktime mmap modf nan NAN nearbyint nextafter nexttoward
    NULL open pause perror pipe poll pow printf putc putchar puts qsort raise rand RAND_MAX random read realloc
    remainder remove remquo rename rewind rindex rint round scalb scalbln scalbn scanf select setbuf sigaction
    signal signgam significand sin sincos sinh sleep snprintf sprintf sqrt srand sscanf stat stderr stdin stdout
    strcat strchr strcmp strcpy strftime strlen strsep strstr strtod strtof strtok strtol strtoll symlink sync
    system tan tanh tgamma time timezone tmpfile tmpnam trunc truncate tzname ungetc unix unlink usleep wait write
    y0 y1 yn
    main std tg
"""
TAKEN = frozenset((KEYWORDS + DECLARED).split())


def identifier(name: str) -> str:
    """A name that C++ takes: other characters become single underscores; a digit in front, a keyword, a name of the C
    library (gamma, signal, int8_t) get an n in front."""
    clean = re.sub(r"_+", "_", re.sub(r"\W", "_", name, flags=re.ASCII)).strip("_")
    if not clean:
        raise ValueError(f"[cpp_header] name is {name!r}, expected at least one letter or digit")
    if clean[0].isdigit() or clean in TAKEN or clean.endswith("_t"):
        clean = "n" + clean
    return clean
