// The files of what was dropped, also those in folders.

/** As many as the gateway takes at once. */
export const FILES_MAX = 200;
const DEPTH_MAX = 6;
/** What systems put beside one's files. */
const HIDDEN = /^(\.|__MACOSX$|Thumbs\.db$|desktop\.ini$)/;

export interface Dropped {
  files: File[];
  /** Whether there were more than are taken. */
  more: boolean;
}

type Entry = Pick<FileSystemEntry, "isFile" | "isDirectory" | "name">;

/** To be called while the drop is being told: afterwards a browser says nothing of it any more. */
export function filesOf(transfer: DataTransfer): Promise<Dropped> {
  const items = [...transfer.items].filter((one) => one.kind === "file");
  const entries = items.map((one) => one.webkitGetAsEntry?.() ?? null);
  if (entries.some((one) => one === null)) {
    const files = [...transfer.files];
    return Promise.resolve({ files: files.slice(0, FILES_MAX), more: files.length > FILES_MAX });
  }
  return walk(entries.filter((one) => one !== null));
}

export async function walk(entries: Entry[]): Promise<Dropped> {
  const files: File[] = [];
  let level = entries;
  for (let depth = 0; level.length && depth < DEPTH_MAX; depth += 1) {
    const next: Entry[] = [];
    for (const entry of level) {
      if (HIDDEN.test(entry.name)) continue;
      if (files.length >= FILES_MAX) return { files, more: true };
      if (entry.isFile) files.push(await new Promise<File>((good, bad) => (entry as FileSystemFileEntry).file(good, bad)));
      else if (entry.isDirectory) next.push(...(await inside(entry as FileSystemDirectoryEntry)));
    }
    level = next;
  }
  return { files, more: level.length > 0 };
}

/** A browser tells a folder a hundred at a time. */
async function inside(folder: FileSystemDirectoryEntry): Promise<Entry[]> {
  const reader = folder.createReader();
  const all: Entry[] = [];
  for (;;) {
    const some = await new Promise<Entry[]>((good, bad) => reader.readEntries(good, bad));
    if (!some.length || all.length > 10 * FILES_MAX) return all;
    all.push(...some);
  }
}
