"""Fail when the installed package, zipped as a wheel is, exceeds 3 MB."""

import importlib.metadata
import io
import sys
import zipfile

LIMIT_MB = 3.0

distribution = importlib.metadata.distribution("trigrad")
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
    for file in distribution.files or []:
        if ".." not in file.parts and file.suffix != ".pyc":
            wheel.write(file.locate(), str(file))
size_mb = archive.tell() / 1e6
print(f"wheel: {size_mb:.2f} MB (at most {LIMIT_MB:g})")
sys.exit(size_mb > LIMIT_MB)
