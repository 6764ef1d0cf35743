"""Files as they are found: what their columns are taken for, and one command each to train and to score them.

    python benchmarks/real_files.py run FOLDER      # each file of FILES that lies in FOLDER, byte for byte as found
    python benchmarks/real_files.py table           # puts the tables of the results into docs/real-files.md

None of the files is kept here; `source` says where each was found. What a column should be taken for was written down
from what it means, before the first look at what `inspect` says of it. A file is inspected with the flags that reading
it needs; it is trained with those of its hints that a reader would follow besides, by the network of the defaults and
by `--model gbdt`, on the same rows. What is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from cells import with_table
from machine import commit, hardware

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "real_files.json"
PAGE = ROOT / "docs" / "real-files.md"
PROGRAM = [sys.executable, "-c", "from masknet.cli import main; main()"]
MENDS = {"missing": "numeric", "decimal": "numeric"}
"""What the flag of a hint makes of a column, where it is not named as the kind is."""


@dataclass(frozen=True)
class RealFile:
    """A file, where it was found, and what its columns are.

    Args:
        name: of the file.
        source: the repository and the path in it, or what the page calls it by.
        about: what a row is.
        read: the flags without which the file cannot be read or has no label.
        told: those that a reader of `inspect` adds.
        kinds: by the kind that columns should have, their names with commas between; `constant` is a column of one
            value or none, and of kinds with a `|` between them either will do.
    """

    name: str
    source: str
    about: str
    read: str
    told: str = ""
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def expected(self) -> dict[str, tuple[str, ...]]:
        """By column, the kinds that are right."""
        return {name: tuple(kind.split("|")) for kind, names in self.kinds.items() for name in names.split(",")}

    @property
    def score(self) -> str:
        """The flags that scoring needs too: how a text is written is the model's to know, but for its names."""
        said = shlex.split(self.read)
        pairs = zip(said[::2], said[1::2], strict=True)
        return shlex.join(word for pair in pairs if pair[0] in ("--format", "--columns") for word in pair)

    def train(self, folder: str = "") -> list[str]:
        """The arguments of the one command."""
        return ["train", folder + self.name, *shlex.split(self.read), *shlex.split(self.told)]


FILES = (
    RealFile(
        name="Churn.csv",
        source="acorallomercado/idm_caso_2: Churn.csv",
        about="a customer of a phone company; `;`, decimal commas, CRLF, `True.`",
        read="--label Churn --positive True.",
        told="--decimal ,",
        kinds={
            "categorical": "State,Area_Code,Intl_Plan,Vmail_Plan",
            "ignored": "Phone",
            "numeric": (
                "Account_Length,Vmail_Message,Day_Mins,Day_Calls,Day_Charge,Eve_Mins,Eve_Calls,Eve_Charge,Night_Mins,"
                "Night_Calls,Night_Charge,Intl_Mins,Intl_Calls,Intl_Charge,CustServ_Calls"
            ),
        },
    ),
    RealFile(
        name="Homicides.csv",
        source="bilalfatian/Chicago-Crime-Data-Analysis: data/Homicides.csv",
        about="a killing in Chicago; `09/08/2021 04:45:00 PM`, points in parentheses, codes with zeros before them",
        read="--label Arrest",
        told=(
            "--categorical 'Ward,Community Area' --ignore Location --datetime 'Date=%m/%d/%Y %I:%M:%S %p' "
            "--datetime 'Updated On=%m/%d/%Y %I:%M:%S %p'"
        ),
        kinds={
            "ignored": "ID",
            "ignored|categorical": "Case Number",
            "datetime": "Date,Updated On",
            "categorical": (
                "Block,IUCR,Description,Location Description,Domestic,Beat,District,Ward,Community Area,FBI Code"
            ),
            "constant": "Primary Type",
            "numeric": "X Coordinate,Y Coordinate,Latitude,Longitude",
            "numeric|categorical": "Year",
            "dense|ignored": "Location",
        },
    ),
    RealFile(
        name="Tweets.csv",
        source="MohamedAli1995/Virgin-Airline-Tweets-Sentiment-Prediction: data/Tweets.csv",
        about="a tweet to an airline, saved by a spreadsheet: ids as `5.70306E+17`, `2/24/2015 11:35`, lines in quotes",
        read="--label airline_sentiment --positive negative",
        told="--bag text --ignore tweet_id,tweet_coord --datetime 'tweet_created=%m/%d/%Y %H:%M'",
        kinds={
            "ignored|categorical": "tweet_id",
            "categorical": "name,user_timezone",
            "bag": "text",
            "dense|ignored": "tweet_coord",
            "datetime": "tweet_created",
            "categorical|bag": "tweet_location",
        },
    ),
    RealFile(
        name="diabetic_data.csv.zip",
        source="apekshasaxena12/predictive-modelling-in-healthcare: data/diabetic_data.csv.zip",
        about="a stay in a hospital; a zip made on a Mac, `?`, ranges `[70-80)`",
        read="--label readmitted --positive '<30' --limit-rows 10000",
        told=(
            "--categorical patient_nbr --numeric num_procedures,number_outpatient,number_emergency,"
            "number_inpatient,number_diagnoses"
        ),
        kinds={
            "ignored": "encounter_id",
            "numeric": (
                "time_in_hospital,num_lab_procedures,num_procedures,num_medications,number_outpatient,number_emergency,"
                "number_inpatient,number_diagnoses"
            ),
            "constant": "examide,citoglipton",
            "categorical": (
                "patient_nbr,race,gender,age,weight,admission_type_id,discharge_disposition_id,admission_source_id,"
                "payer_code,medical_specialty,diag_1,diag_2,diag_3,max_glu_serum,A1Cresult,metformin,repaglinide,"
                "nateglinide,chlorpropamide,glimepiride,acetohexamide,glipizide,glyburide,tolbutamide,pioglitazone,"
                "rosiglitazone,acarbose,miglitol,troglitazone,tolazamide,insulin,glyburide-metformin,"
                "glipizide-metformin,glimepiride-pioglitazone,metformin-rosiglitazone,metformin-pioglitazone,change,"
                "diabetesMed"
            ),
        },
    ),
    RealFile(
        name="train_sample.csv.zip",
        source="cardeb/Fraude_detection: data/train_sample.csv.zip",
        about="a click on an ad of an app; zipped, ids as integers, one column known only after the label",
        read="--label is_attributed",
        told="--ignore attributed_time",
        kinds={
            "categorical": "ip,app,device,os,channel",
            "datetime": "click_time",
            "datetime|ignored": "attributed_time",
        },
    ),
    RealFile(
        name="german.data",
        source="discoverdata/german-credit-data: data/german.data",
        about="a loan; no header, tabs under `.data`, the first line empty, good and bad as 1 and 2",
        read=(
            "--format tsv --columns checking_status,duration,credit_history,purpose,credit_amount,savings_status,"
            "employment,installment_commitment,personal_status,other_parties,residence_since,property_magnitude,age,"
            "other_payment_plans,housing,existing_credits,job,num_dependents,own_telephone,foreign_worker,class "
            "--label class --positive 2"
        ),
        kinds={
            "categorical": (
                "checking_status,credit_history,purpose,savings_status,employment,personal_status,other_parties,"
                "property_magnitude,other_payment_plans,housing,job,own_telephone,foreign_worker"
            ),
            "numeric": "duration,credit_amount,age,existing_credits,num_dependents",
            "numeric|categorical": "installment_commitment,residence_since",
        },
    ),
    RealFile(
        name="SMSSpamCollectionOriginal",
        source="ret0/CS-6240: data/SMSSpamCollectionOriginal",
        about="a short message; no ending, no header, a tab, bare quotes",
        read="--format tsv --quote none --columns label,message --label label --positive spam",
        told="--bag message",
        kinds={"bag": "message"},
    ),
    RealFile(
        name="bank-additional.csv",
        source="justmarkham/DAT8: data/bank-additional.csv",
        about="a call of a bank; `;`, all texts quoted, yes and no",
        read="--label y",
        kinds={
            "categorical": "job,marital,education,default,housing,loan,contact,month,day_of_week,poutcome",
            "numeric": (
                "age,duration,campaign,pdays,previous,emp.var.rate,cons.price.idx,cons.conf.idx,euribor3m,nr.employed"
            ),
        },
    ),
    RealFile(
        name="u.item",
        source="justmarkham/DAT8: data/u.item",
        about="a film; no header, `|`, Latin-1, `01-Jan-1995`",
        read=(
            "--format csv --encoding latin-1 --columns 'movie id,movie title,release date,video release date,IMDb URL,"
            "unknown,Action,Adventure,Animation,Children,Comedy,Crime,Documentary,Drama,Fantasy,Film-Noir,Horror,Musical,Mystery,Romance,Sci-Fi,"
            "Thriller,War,Western' --label Drama"
        ),
        told="--bag 'movie title' --ignore 'IMDb URL' --datetime 'release date=%d-%b-%Y'",
        kinds={
            "ignored": "movie id,IMDb URL",
            "bag": "movie title",
            "datetime": "release date",
            "constant": "video release date",
            "categorical": (
                "unknown,Action,Adventure,Animation,Children,Comedy,Crime,Documentary,Fantasy,Film-Noir,Horror,"
                "Musical,Mystery,Romance,Sci-Fi,Thriller,War,Western"
            ),
        },
    ),
    RealFile(
        name="users.dat",
        source="srimatta/movielense: ml-1m/users.dat",
        about="a user of MovieLens; no header, `::`, ages as the starts of ranges",
        read="--format csv --columns UserID,Gender,Age,Occupation,Zip-code --label Gender --positive F",
        kinds={"ignored": "UserID", "categorical|numeric": "Age", "categorical": "Occupation,Zip-code"},
    ),
    RealFile(
        name="adult.data",
        source="vukk/lfr: data/adult.data",
        about="a person in a census; a blank behind every comma, in the header too, `?`",
        read="--format csv --label ' classification' --positive '>50K' --limit-rows 10000",
        kinds={
            "numeric": "age, fnlwgt, capital-gain, capital-loss, hours-per-week",
            "numeric|categorical": " education-num",
            "categorical": (
                " workclass, education, marital-status, occupation, relationship, race, sex, native-country"
            ),
        },
    ),
    RealFile(
        name="listings.csv.gz",
        source="Heitorcp/airbnb_boston: data/listings.csv.gz",
        about="a flat to let; gz, prose with lines, lists in brackets, `$1,200.00`, `97%` and `N/A`",
        read="--label instant_bookable",
        told=(
            "--bag name,description,neighborhood_overview,host_about,host_verifications,"
            "amenities --ignore picture_url --numeric bedrooms,beds,minimum_nights,minimum_minimum_nights,"
            "number_of_reviews_l30d,calculated_host_listings_count,"
            "calculated_host_listings_count_entire_homes,calculated_host_listings_count_private_rooms,"
            "calculated_host_listings_count_shared_rooms"
        ),
        kinds={
            "ignored": "id,listing_url,picture_url",
            "constant": (
                "scrape_id,last_scraped,neighbourhood_group_cleansed,bathrooms,calendar_updated,calendar_last_scraped"
            ),
            "bag": "name,description,neighborhood_overview,host_about,host_verifications,amenities",
            "categorical": (
                "host_id,host_url,host_name,host_location,host_response_time,host_is_superhost,host_neighbourhood,"
                "host_has_profile_pic,host_identity_verified,neighbourhood,neighbourhood_cleansed,property_type,"
                "room_type,has_availability"
            ),
            "categorical|ignored": "host_thumbnail_url,host_picture_url",
            "categorical|bag": "bathrooms_text",
            "categorical|bag|ignored": "license",
            "datetime": "host_since,first_review,last_review",
            "numeric": (
                "host_response_rate,host_acceptance_rate,host_listings_count,host_total_listings_count,latitude,"
                "longitude,accommodates,bedrooms,beds,price,minimum_nights,maximum_nights,minimum_minimum_nights,"
                "maximum_minimum_nights,minimum_maximum_nights,maximum_maximum_nights,minimum_nights_avg_ntm,"
                "maximum_nights_avg_ntm,availability_30,availability_60,availability_90,availability_365,"
                "number_of_reviews,number_of_reviews_ltm,number_of_reviews_l30d,review_scores_rating,"
                "review_scores_accuracy,review_scores_cleanliness,review_scores_checkin,review_scores_communication,"
                "review_scores_location,review_scores_value,calculated_host_listings_count,"
                "calculated_host_listings_count_entire_homes,calculated_host_listings_count_private_rooms,"
                "calculated_host_listings_count_shared_rooms,reviews_per_month"
            ),
        },
    ),
    RealFile(
        name="loans_full_schema.csv",
        source="jemus42/Rdatasets: csv/openintro/loans_full_schema.csv",
        about="a loan; R's row names under an empty header, `NA` in numbers, `1e+05`",
        read="--label disbursement_method --positive DirectPay",
        told=(
            "--numeric current_accounts_delinq,current_installment_accounts,accounts_opened_24m,"
            "months_since_last_credit_inquiry,num_collections_last_12m,num_historical_failed_to_pay,"
            "num_satisfactory_accounts,num_accounts_120d_past_due,num_accounts_30d_past_due,"
            "num_active_debit_accounts,num_open_cc_accounts,num_cc_carrying_balance,num_mort_accounts"
        ),
        kinds={
            "ignored": "",
            "categorical|bag": "emp_title",
            "categorical": (
                "state,homeownership,verified_income,verification_income_joint,loan_purpose,application_type,grade,"
                "sub_grade,loan_status,initial_listing_status"
            ),
            "categorical|datetime": "issue_month",
            "categorical|numeric": "term",
            "numeric": (
                "emp_length,annual_income,debt_to_income,annual_income_joint,debt_to_income_joint,delinq_2y,"
                "months_since_last_delinq,earliest_credit_line,inquiries_last_12m,total_credit_lines,open_credit_lines,"
                "total_credit_limit,total_credit_utilized,num_collections_last_12m,num_historical_failed_to_pay,"
                "months_since_90d_late,current_accounts_delinq,total_collection_amount_ever,"
                "current_installment_accounts,accounts_opened_24m,months_since_last_credit_inquiry,"
                "num_satisfactory_accounts,num_accounts_120d_past_due,num_accounts_30d_past_due,"
                "num_active_debit_accounts,total_debit_limit,num_total_cc_accounts,num_open_cc_accounts,"
                "num_cc_carrying_balance,num_mort_accounts,account_never_delinq_percent,tax_liens,"
                "public_record_bankrupt,loan_amount,interest_rate,installment,balance,paid_total,paid_principal,"
                "paid_interest,paid_late_fees"
            ),
        },
    ),
    RealFile(
        name="email.csv",
        source="jemus42/Rdatasets: csv/openintro/email.csv",
        about="an e-mail; R's row names under an empty header, some numbers quoted and some not",
        read="--label spam",
        kinds={
            "ignored": "",
            "categorical|numeric": "to_multiple,from,sent_email,winner,format,re_subj,exclaim_subj,urgent_subj",
            "categorical": "number",
            "numeric": "cc,image,attach,dollar,inherit,viagra,password,num_char,line_breaks,exclaim_mess",
            "datetime": "time",
        },
    ),
    RealFile(
        name="advertising.csv",
        source="yoonssrong/kaggle_advertising: data/advertising.csv",
        about="a visit with an ad; names with blanks, `2016-03-27 0:53`, `30's`, a title in each row",
        read="--label 'Clicked on Ad'",
        told="--bag 'Ad Topic Line' --numeric Age",
        kinds={
            "numeric": "Daily Time Spent on Site,Age,Area Income,Daily Internet Usage",
            "bag|ignored": "Ad Topic Line",
            "categorical": "City,Country,Age_hist",
            "categorical|numeric": "Male",
            "datetime": "Timestamp",
        },
    ),
    RealFile(
        name="Sarcasm_Headlines_Dataset.json.zip",
        source="chandraputomo/dataset: Sarcasm_Headlines_Dataset.json.zip",
        about="a headline; JSON Lines under `.json`, zipped, an address in each row that tells the label",
        read="--format jsonl --label is_sarcastic --limit-rows 10000",
        told="--bag headline",
        kinds={"bag": "headline", "ignored|bag": "article_link"},
    ),
    RealFile(
        name="churn.parquet",
        source="aliosmankaya/fullstack-churn-prediction: data/churn.parquet",
        about="a customer of a phone company; Parquet, charges as texts with blank cells, an id in each row",
        read="--label Churn",
        told="--numeric TotalCharges",
        kinds={
            "ignored": "customerID",
            "categorical": (
                "gender,SeniorCitizen,Partner,Dependents,PhoneService,MultipleLines,InternetService,OnlineSecurity,"
                "OnlineBackup,DeviceProtection,TechSupport,StreamingTV,StreamingMovies,Contract,PaperlessBilling,"
                "PaymentMethod"
            ),
            "numeric": "tenure,MonthlyCharges,TotalCharges",
        },
    ),
    RealFile(
        name="spam.csv",
        source="25460340-ai/spam_detector: data/spam.csv",
        about="short messages as a spreadsheet saved them; the header ends in three empty names",
        read="--label v1 --positive spam",
    ),
    RealFile(
        name="propublica-recidivism.csv",
        source="algofairness/fairness-comparison: fairness/data/raw/propublica-recidivism.csv",
        about="a prisoner; two names stand twice in the header",
        read="--label two_year_recid",
    ),
    RealFile(
        name="steam_games.json.gz",
        source="Juan-Mendoza00/pi_mlops: raw_data/steam_games.json.gz",
        about="a game; JSON Lines as Python writes them, with `NaN` for what is missing, rows without a label",
        read="--format jsonl --label early_access",
    ),
)


# The runs


def masknet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, encoding="utf-8", check=False)


def inspected(real: RealFile, folder: Path, flags: str) -> dict[str, Any]:
    done = masknet("inspect", str(folder / real.name), *shlex.split(flags), "--json")
    return {"refused": done.stderr.strip()} if done.returncode else json.loads(done.stdout)


def judged(real: RealFile, inspection: dict[str, Any]) -> list[dict[str, Any]]:
    """Each column but the label with what it should be, what it is taken for, and whether that is right."""
    warned = " ".join(inspection["warnings"])
    columns = []
    for report in inspection["columns"]:
        name, kind = report["column"], report["kind"]
        if kind == "label":
            continue
        should = real.expected[name]
        told = f"'{name}' is constant" in warned or f"'{name}' is missing" in warned
        right = kind in should or (should == ("constant",) and (told or kind == "ignored"))
        mended = any(MENDS.get(option, option).replace("ignore", "ignored") in should for option, _ in report["hint"])
        columns.append(
            {
                "column": name,
                "should": "|".join(should),
                "taken": kind,
                "why": report["why"],
                "flagged": report["flagged"],
                "verdict": "right" if right else "marked" if report["flagged"] and mended else "wrong",
            }
        )
    return columns


def trained(real: RealFile, folder: Path, at: Path, model: str) -> dict[str, Any]:
    """What the one command reaches on the validation rows; of the network, how many rows the other one scores."""
    out, scores = str(at / f"{model}.masknet"), at / "scores.parquet"
    chosen = [] if model == "default" else ["--model", model]
    flags = ["--seed", "0", "--threads", "1", "--cache-dir", str(at / "cache"), "--out", out, "--json"]
    started = time.perf_counter()
    done = masknet(*real.train(f"{folder}/"), *chosen, *flags)
    if done.returncode:
        raise SystemExit(f"{real.name}, {model}: {done.stderr}")
    seconds = time.perf_counter() - started
    found = json.loads(done.stdout)["metrics"]
    record = {**{name: found[name]["value"] for name in ("auc", "log_loss")}, "seconds": round(seconds, 1)}
    if model == "default":
        done = masknet("predict", out, str(folder / real.name), *shlex.split(real.score), "--out", str(scores))
        if done.returncode:
            raise SystemExit(f"{real.name}: {done.stderr}")
        record["scored"] = len(pl.read_parquet(scores))
    return record


def measured(real: RealFile, folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"file": real.name, "bytes": (folder / real.name).stat().st_size}
    first = inspected(real, folder, real.read)
    if "refused" in first:
        return record | first
    record |= {"rows": first["rows"], "columns": judged(real, first)}
    told = inspected(real, folder, f"{real.read} {real.told}")
    record["after"] = dict(Counter(column["verdict"] for column in judged(real, told)))
    with tempfile.TemporaryDirectory() as at:
        return record | {model: trained(real, folder, Path(at), model) for model in ("default", "gbdt")}


def read() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))["files"] if RESULTS.exists() else []


def run(folder: Path, names: list[str]) -> None:
    records = read()
    for real in FILES:
        there = any(record["file"] == real.name for record in records)
        if there or (names and real.name not in names) or not (folder / real.name).exists():
            continue
        records.append(measured(real, folder))
        content = {"commit": commit(), "hardware": hardware(1), "seed": 0, "files": records}
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(json.dumps({key: value for key, value in records[-1].items() if key != "columns"}), flush=True)


# The tables of docs/real-files.md


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def code(text: str) -> str:
    """A text as code in a table."""
    return f"`` {cell(text)} ``"


def by_name(records: Iterable[dict[str, Any]]) -> list[tuple[RealFile, dict[str, Any]]]:
    found = {record["file"]: record for record in records}
    return [(real, found[real.name]) for real in FILES if real.name in found]


def figures() -> str:
    rows = [
        "| file | rows | columns | right | of these asked | marked | wrong | right after the hints | the network "
        "| LightGBM |",
        "|---" * 10 + "|",
    ]
    totals: Counter[str] = Counter()
    for real, record in by_name(read()):
        if "refused" in record:
            continue
        columns = record["columns"]
        counts = Counter(column["verdict"] for column in columns)
        counts["asked"] = sum(column["verdict"] == "right" and column["flagged"] for column in columns)
        counts["columns"], counts["after"] = len(columns), record["after"]["right"]
        totals += counts
        ours, theirs = (f"{record[m]['auc']:.4f} / {record[m]['log_loss']:.4f}" for m in ("default", "gbdt"))
        told = " | ".join(str(counts[name]) for name in ("columns", "right", "asked", "marked", "wrong", "after"))
        rows.append(f"| {real.name} | {record['rows']:,} | {told} | {ours} | {theirs} |")
    told = " | ".join(str(totals[name]) for name in ("columns", "right", "asked", "marked", "wrong", "after"))
    rows.append(f"| all | | {told} | | |")
    return "\n".join(rows) + "\n"


def commands() -> str:
    rows = ["| a row is | found in | the one command, `masknet train` and |", "|---|---|---|"]
    for real, record in by_name(read()):
        if "refused" not in record:
            rows.append(f"| {cell(real.about)} | {real.source} | {code(shlex.join(real.train()[1:]))} |")
    return "\n".join(rows) + "\n"


def not_right() -> str:
    rows = ["| file | columns | taken for | why | should be | |", "|---" * 6 + "|"]
    alike: dict[tuple[str, ...], list[str]] = {}
    for real, record in by_name(read()):
        for column in record.get("columns", ()):
            if column["verdict"] != "right":
                taken = column["taken"] + (" ?" if column["flagged"] else "")
                key = (real.name, taken, column["why"], column["should"], column["verdict"])
                alike.setdefault(key, []).append(column["column"])
    for (file, taken, why, should, verdict), names in alike.items():
        rows.append(f"| {file} | {cell(', '.join(names))} | {taken} | {cell(why)} | {cell(should)} | {verdict} |")
    return "\n".join(rows) + "\n"


def refused() -> str:
    rows = ["| a row is | found in | the command | what it printed |", "|---" * 4 + "|"]
    for real, record in by_name(read()):
        if "refused" in record:
            command = shlex.join(real.train()[1:])
            rows.append(f"| {cell(real.about)} | {real.source} | {code(command)} | {code(record['refused'])} |")
    return "\n".join(rows) + "\n"


TABLES = {"figures": figures, "commands": commands, "not right": not_right, "refused": refused}


def with_tables(page: str) -> str:
    """The page with each table between its marks."""
    for title, table in TABLES.items():
        page = with_table(page, title, table())
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runner = verbs.add_parser("run")
    runner.add_argument("folder", type=Path)
    runner.add_argument("--files", nargs="*", default=[])
    verbs.add_parser("table")
    given = parser.parse_args()
    if given.verb == "run":
        run(given.folder, given.files)
        return
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
