// What was said in each session, where every container of this machine finds it: a file for each, a line for each turn.
import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export class Sessions {
  constructor(folder) {
    if (!folder) throw new Error("SESSIONS is not set: the folder that all containers share");
    this.folder = folder;
  }

  // Returns the messages of a session, the oldest first; none without one.
  async load(session) {
    if (!session) return [];
    try {
      const lines = await readFile(this.#file(session), "utf8");
      return lines.split("\n").filter(Boolean).flatMap((line) => JSON.parse(line));
    } catch (error) {
      if (error.code === "ENOENT") return [];
      throw error;
    }
  }

  // Adds a whole turn: in one write, which no other container's comes between.
  async add(session, messages) {
    if (!session) return;
    await mkdir(this.folder, { recursive: true });
    await appendFile(this.#file(session), `${JSON.stringify(messages)}\n`);
  }

  #file(session) {
    return join(this.folder, createHash("sha256").update(String(session)).digest("hex"));
  }
}
