// Files that were dropped, folders with all that is in them, as {name, bytes}.

export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return readAll([...transfer.files]);
  const files = (await Promise.all(entries.map(filesIn))).flat();
  return readAll(files);
}

export function readAll(files) {
  return Promise.all(files.map(async (file) => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })));
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const inner = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (!some.length) break;
    inner.push(...some);
  }
  return (await Promise.all(inner.map(filesIn))).flat();
}
