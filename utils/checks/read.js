// Print every cell of each workbook as a line of JSON: node read.js exceljs|sheetjs FILE…
const [reader, ...files] = process.argv.slice(2);

const plain = (value) => {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object" && value.richText) return value.richText.map((run) => run.text).join("");
  return value;
};

async function exceljs(file) {
  const { Workbook } = require("exceljs");
  const workbook = new Workbook();
  await workbook.xlsx.readFile(file);
  return workbook.worksheets.map((sheet) => {
    const rows = [];
    const columns = sheet.columnCount; // looks at each row
    sheet.eachRow({ includeEmpty: true }, (row) => {
      const cells = [];
      for (let column = 1; column <= columns; column++) cells.push(plain(row.getCell(column).value));
      rows.push(cells);
    });
    return [sheet.name, rows];
  });
}

async function sheetjs(file) {
  const xlsx = require("xlsx");
  const workbook = xlsx.readFile(file, { cellDates: true, UTC: true });
  return workbook.SheetNames.map((name) => {
    const rows = xlsx.utils.sheet_to_json(workbook.Sheets[name], { header: 1, raw: true, defval: null, blankrows: true });
    return [name, rows.map((row) => row.map(plain))];
  });
}

(async () => {
  for (const file of files) console.log(JSON.stringify(await { exceljs, sheetjs }[reader](file)));
})();
