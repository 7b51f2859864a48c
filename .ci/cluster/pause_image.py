"""Makes the image of one static program: `pause_image.py PROGRAM OUT.tar`; it is `local/pause:1`."""

import sys
from pathlib import Path

from image import Layer, write_image

program, out = map(Path, sys.argv[1:3])
layer = out.with_suffix(".layer")
content = Layer(layer)
content.add(program, "pause")
content.close()
write_image(out, "docker.io/local/pause:1", layer, "/", ["/pause"])
layer.unlink()
