import { describe, expect, it } from "vitest";
import { Problem } from "../../problem";
import { FILES_MAX, walk } from "./dropped";
import { linesOf } from "./ndjson";
import { blamed, questionsOf } from "./questions";
import { completeness, drawnGaps, placeOn, spanOf } from "./series";

const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();

describe("a strip of time", () => {
  it("spans all series", () => {
    expect(spanOf([{ start: at(5), end: at(9) }, { start: at(2), end: at(7) }])).toEqual([Date.parse(at(2)), Date.parse(at(9))]);
  });
  it("draws nothing outside of it", () => {
    expect(placeOn([0, 100], 25, 75)).toEqual({ left: 25, width: 50 });
    expect(placeOn([0, 100], -50, 200)).toEqual({ left: 0, width: 100 });
    expect(placeOn([0, 0], 5, 6).width).toBe(0);
  });
  it("draws gaps that lie close together as one, and counts them all", () => {
    const span: [number, number] = [Date.parse(at(0)), Date.parse(at(1000))];
    const gaps = Array.from({ length: 400 }, (_, index) => ({ from: at(2 * index), to: at(2 * index + 1), bars: 1 }));
    const drawn = drawnGaps(span, gaps, 50);
    expect(drawn.length).toBeLessThanOrEqual(50);
    expect(drawn.reduce((sum, one) => sum + one.bars, 0)).toBe(400);
    expect(drawnGaps(span, gaps, 10_000).length).toBe(400);
  });
  it("knows how complete a series is", () => {
    expect(completeness(99, 1)).toBe(99);
    expect(completeness(0, 0)).toBeNull();
  });
});

describe("a refused import", () => {
  const words = "F2.csv, line 2: time '01/02/2024' may be day or month first";
  it("asks with the choices that were sent", () => {
    const choices = [{ value: "dmy", label: "Day first: 31/12/2024" }];
    const [asked] = questionsOf(new Problem(422, "import_refused", words, [{ field: "dateOrder", message: words, code: "choose", choices }]));
    expect(asked).toMatchObject({ field: "dateOrder", choices, free: false, message: "" });
  });
  it("lets one write an answer where the choices are only likely ones", () => {
    const [zone, columns] = questionsOf(
      new Problem(422, "import_refused", words, [
        { field: "timeZone", message: "has none", choices: [{ value: "UTC", label: "UTC" }] },
        { field: "columns", message: "unknown" },
        { field: "nothing", message: "we know" },
      ]),
    );
    expect(zone).toMatchObject({ free: true, choices: [{ value: "UTC", label: "UTC" }] });
    expect(columns).toMatchObject({ free: true, choices: [] });
  });
  it("asks also what its text advises, with the example that it gives", () => {
    const header = "F2.csv, line 1: no column is named time; say what the columns are: columns=time,open,-,close";
    expect(questionsOf(new Problem(422, "x", header))).toMatchObject([{ field: "columns", free: true, example: "time,open,-,close" }]);
    const [gaps] = questionsOf(new Problem(422, "x", "F2 lacks bars. Get the missing files, or accept it with allowGaps=true"));
    expect(gaps).toMatchObject({ field: "allowGaps", free: false, choices: [{ value: "true" }] });
    expect(questionsOf(new Problem(422, "x", "F2.csv: it is empty, and has no columns"))).toEqual([]);
  });
  it("names the file of several that it is about, and none where two could be", () => {
    expect(blamed(new Problem(422, "x", words), ["F2.csv", "F3.csv"])).toBe("F2.csv");
    expect(blamed(new Problem(422, "x", "F2.csv.gz: it is empty"), ["F2.csv", "F3.csv"])).toBeNull();
    expect(blamed(new Problem(422, "x", words), ["F2.csv", "F2.csv"])).toBeNull();
  });
});

describe("what is dropped", () => {
  const file = (name: string) => ({ isFile: true, isDirectory: false, name, file: (good: (one: File) => void) => good(new File(["x"], name)) });
  const folder = (name: string, inside: object[]) => ({
    isFile: false, isDirectory: true, name,
    createReader: () => {
      const parts = [inside, []];
      return { readEntries: (good: (some: object[]) => void) => good(parts.shift() ?? []) };
    },
  });
  const names = (files: File[]) => files.map((one) => one.name);

  it("is taken out of its folders, without what systems hide there", async () => {
    const { files, more } = await walk([folder("year", [file("a.csv"), file(".DS_Store"), folder("more", [file("b.csv")])]), file("c.csv")]);
    expect(names(files)).toEqual(["c.csv", "a.csv", "b.csv"]);
    expect(more).toBe(false);
  });
  it("is bounded", async () => {
    const { files, more } = await walk(Array.from({ length: FILES_MAX + 5 }, (_, index) => file(`${index}.csv`)));
    expect(files.length).toBe(FILES_MAX);
    expect(more).toBe(true);
  });
});

describe("lines of JSON", () => {
  const stream = (...parts: string[]) =>
    new ReadableStream<Uint8Array>({ start: (to) => (parts.forEach((part) => to.enqueue(new TextEncoder().encode(part))), to.close()) });
  const all = async (body: ReadableStream<Uint8Array>) => {
    const found = [];
    for await (const line of linesOf(body)) found.push(line);
    return found;
  };
  it("come whole, however they were cut", async () => {
    expect(await all(stream('{"a":1}\n{"b', '":"é"}', '\n\n{"c":3}'))).toEqual([{ a: 1 }, { b: "é" }, { c: 3 }]);
  });
  it("are refused where they are none", async () => {
    await expect(all(stream("<html>\n"))).rejects.toThrow(SyntaxError);
  });
});
