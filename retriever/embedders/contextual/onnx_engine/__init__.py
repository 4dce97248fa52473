"""Models as ONNX graphs: exported once, compared with torch, kept in the user's cache.

A graph is the whole chain of a model: transformer, pooling, and what follows. A model that takes
images has a second one, from pixels to vectors. They are cached under a checksum of the model's
files, the options, the library versions and the processor, compared with torch on texts of many
lengths and on images, and used only if they agree. In single precision runtimes are
interchangeable: an index built by one may be queried by the other. Any other precision is another
embedder. A graph is shared by all prompts and lengths, which only decide the tokens. What nobody
opened for 60 days, or what a folder held before it changed, is removed at the next export.
"""
