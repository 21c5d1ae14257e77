// Reads AsyncAPI documents with the official parser; exits with 1 if one has an error.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

const folder = process.argv[2];
const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();
if (names.length === 0) {
  console.error(`no document in ${folder}; run make contracts`);
  process.exit(1);
}

let errors = 0;
for (const name of names) {
  const parser = new Parser();
  const { document, diagnostics } = await parser.parse(await readFile(join(folder, name), "utf8"));
  const counts = { [DiagnosticSeverity.Error]: 0, [DiagnosticSeverity.Warning]: 0 };
  for (const { severity, code, path, message } of diagnostics) {
    if (severity > DiagnosticSeverity.Warning) continue;
    counts[severity] += 1;
    const word = severity === DiagnosticSeverity.Error ? "error" : "warning";
    console.error(`${name}: ${word}: ${path.join(".")}: ${message} (${code})`);
  }
  errors += counts[DiagnosticSeverity.Error] + (document ? 0 : 1);
  const channels = document?.allChannels().length ?? 0;
  const operations = document?.allOperations().length ?? 0;
  const messages = document?.allMessages().length ?? 0;
  console.log(
    `${name}: ${counts[DiagnosticSeverity.Error]} errors, ` +
      `${counts[DiagnosticSeverity.Warning]} warnings; ${channels} channels, ` +
      `${operations} operations, ${messages} messages`,
  );
}
process.exit(errors ? 1 : 0);
